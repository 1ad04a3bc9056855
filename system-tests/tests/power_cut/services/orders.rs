//! Service C on a disk that loses its power, while it follows A and B.

use std::sync::Arc;

use quickstart::client::Client;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use system_tests::broker::TestBroker;
use system_tests::wait;

use super::buyer::{Buyer, order};
use super::feed::{Feed, Pair};
use super::load::all_at_once;
use super::log::{Watch, Watched};
use super::recorder::Workshop;
use super::restarted::{Restarted, Which};
use super::story::Story;
use super::told::Told;
use crate::points::{Asked, Figures, Image, data};

const TOPIC: &str = "orders.events";
const FOLLOWED: [&str; 2] = ["users.events", "products.events"];
const CLIENTS: usize = 8;
/// Processes between two power cuts.
const LIVES: u64 = 2;
/// Users and products that a client has made while service C is away.
const MEETINGS: usize = 4;
/// Commands of a client that its process takes, if it is not killed before.
const COMMANDS: usize = 50;
/// A process is killed behind one of so many entries.
const ENTRIES: u64 = 3000;
/// Orders behind a cut have quantities from here on.
const QUANTITIES: usize = 900_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn whatever_a_power_cut_leaves_what_was_followed_is_known_again() {
    let mut figures = Figures::default();
    for asked in Asked::by_environment().recordings() {
        let (workshop, recorded) = record(asked).await;
        let look = |recorded: Arc<Recorded>, image: Arc<Image>| async move { recorded.look(&image).await };
        figures.look_at(&workshop.eras, asked.seed, recorded, look).await;
    }
    figures.end("orders").gaps_are_bounded(CLIENTS);
}

async fn record(asked: Asked) -> (Workshop, Recorded) {
    let mut random = StdRng::seed_from_u64(asked.seed);
    let broker = TestBroker::embedded();
    let watch = Watch::start(broker.kafka(), &["users.events", "products.events", TOPIC]);
    let feed = Feed::start(broker.kafka()).await;
    let mut buyers: Vec<Buyer> = (0..CLIENTS).map(|number| Buyer::new(number, asked.seed, &feed)).collect();
    let mut workshop = Workshop::new("orders");
    let client = Client::new();
    for _ in 0..asked.eras {
        workshop.begin_era();
        for _ in 0..LIVES {
            let meet = async |mut buyer: Buyer| {
                buyer.meet(MEETINGS).await;
                buyer
            };
            buyers = all_at_once(buyers, meet).await;
            let mut process = workshop.start(&broker.flags(), Some(random.random_range(1..=ENTRIES)));
            let Some(address) = process.address_if_it_lives() else { continue };
            let url = Arc::new(format!("http://{address}"));
            let live = |mut buyer: Buyer| {
                let url = Arc::clone(&url);
                async move {
                    buyer.live(&url, COMMANDS).await;
                    buyer
                }
            };
            buyers = all_at_once(buyers, live).await;
            if process.has_ended().is_none() {
                process.terminate();
            }
        }
        workshop.end_era(&mut random);
    }
    let (mut stories, mut there, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for buyer in buyers {
        stories.extend(buyer.stories);
        there.extend(buyer.there);
        gone.extend(buyer.gone);
    }
    feed.stop().await;
    (workshop, Recorded { stories, there, gone, log: watch.stop(), client })
}

/// What clients and the log know.
struct Recorded {
    stories: Vec<Story>,
    there: Vec<Pair>,
    gone: Vec<Pair>,
    log: Watched,
    client: Client,
}

impl Recorded {
    /// Starts the service on an image, asks it, and looks at the log behind it. What is followed goes on while it is away: of
    /// that the log has all there is.
    async fn look(&self, image: &Image) -> Result<(), String> {
        let Self { stories, log, client, .. } = self;
        let told = Told { stories, ns: image.ns };
        let broker = log.at(image.ns, &FOLLOWED);
        let service = Restarted::start(Which::Orders, broker.kafka(), &data(image.directory.path())).await;
        self.is_known_from_the_beginning(&service.url).await?;
        let service = service.ready(client).await?;
        told.is_shown(client, &service.url).await?;
        told.is_repeated(client, &service.url).await?;
        self.all_are_known(&service.url).await?;
        service.stop().await?;
        told.is_in_the_log(broker.kafka(), TOPIC, |data| data["quantity"].to_string())
    }

    /// Nobody who was known becomes unknown for a moment: an order gets 503 until it can be decided.
    async fn is_known_from_the_beginning(&self, url: &str) -> Result<(), String> {
        let mut order = order(&self.there[0], QUANTITIES, 201);
        order.after = String::new();
        let deadline = tokio::time::Instant::now() + wait::DEADLINE;
        loop {
            match order.send(&self.client, url).await {
                Ok(answer) if answer.status == order.expects => return Ok(()),
                Ok(answer) if answer.status == 503 && tokio::time::Instant::now() < deadline => {}
                Ok(answer) => return Err(format!("somebody who was known: {answer:?}")),
                // It does not start, which it says to whoever waits for that.
                Err(_) => return Ok(()),
            }
        }
    }

    async fn all_are_known(&self, url: &str) -> Result<(), String> {
        let there = self.there.iter().map(|pair| (pair, 201));
        let gone = self.gone.iter().map(|pair| (pair, 409));
        for (number, (pair, expects)) in there.chain(gone).enumerate() {
            let order = order(pair, QUANTITIES + 1 + number, expects);
            let answer = order.send(&self.client, url).await.map_err(|error| error.to_string())?;
            if answer.status != expects {
                return Err(format!("{order:?}: {answer:?}"));
            }
        }
        Ok(())
    }
}
