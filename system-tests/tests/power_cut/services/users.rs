//! Service A on a disk that loses its power.

use std::sync::Arc;

use quickstart::client::{Client, Method};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use system_tests::broker::TestBroker;

use super::load::{Shopper, live};
use super::log::{Watch, Watched};
use super::recorder::Workshop;
use super::restarted::{Restarted, Which};
use super::story::{Draft, Story};
use super::told::Told;
use crate::points::{Asked, Figures, Image, data};

pub(crate) const TOPIC: &str = "users.events";
const CLIENTS: usize = 8;
/// Processes between two power cuts.
const LIVES: u64 = 2;
/// Commands of a client that its process takes, if it is not killed before.
const COMMANDS: usize = 100;
/// A process is killed behind one of so many entries: some three to a group of commands, and some sixty to a start.
const ENTRIES: u64 = 4000;

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn whatever_a_power_cut_leaves_a_service_has_all_that_it_acknowledged_and_its_log_gets_it_once() {
    let mut figures = Figures::default();
    for asked in Asked::by_environment().recordings() {
        let (workshop, recorded) = record(asked).await;
        let look = |recorded: Arc<Recorded>, image: Arc<Image>| async move { recorded.look(&image).await };
        figures.look_at(&workshop.eras, asked.seed, recorded, look).await;
    }
    figures.end("users").gaps_are_bounded(CLIENTS);
}

async fn record(asked: Asked) -> (Workshop, Recorded) {
    let mut random = StdRng::seed_from_u64(asked.seed);
    let broker = TestBroker::embedded();
    let watch = Watch::start(broker.kafka(), &[TOPIC]);
    let mut shoppers: Vec<Shopper> = (0..CLIENTS).map(|number| Shopper::new(number, asked.seed)).collect();
    let mut workshop = Workshop::new("users");
    for _ in 0..asked.eras {
        workshop.begin_era();
        for _ in 0..LIVES {
            let kill_at = random.random_range(1..=ENTRIES);
            let mut process = workshop.start(&broker.flags(), Some(kill_at));
            let Some(address) = process.address_if_it_lives() else { continue };
            shoppers = live(shoppers, address, COMMANDS).await;
            if process.has_ended().is_none() {
                process.terminate();
            }
        }
        workshop.end_era(&mut random);
    }
    (workshop, Recorded::of(shoppers, watch))
}

/// What clients and the log know.
pub(crate) struct Recorded {
    stories: Vec<Story>,
    log: Watched,
    client: Client,
}

impl Recorded {
    pub(crate) fn of(shoppers: Vec<Shopper>, watch: Watch) -> Self {
        let stories = shoppers.into_iter().flat_map(|shopper| shopper.stories).collect();
        Self { stories, log: watch.stop(), client: Client::new() }
    }

    /// Starts the service on an image, asks it, and looks at the log behind it.
    pub(crate) async fn look(&self, image: &Image) -> Result<(), String> {
        let Self { stories, log, client } = self;
        let told = Told { stories, ns: image.ns };
        let broker = log.at(image.ns, &[]);
        let directory = data(image.directory.path());
        let service = Restarted::start(Which::Users, broker.kafka(), &directory).await.ready(client).await?;
        told.is_shown(client, &service.url).await?;
        told.is_repeated(client, &service.url).await?;
        goes_on(client, &service.url).await?;
        service.stop().await?;
        told.is_in_the_log(broker.kafka(), TOPIC, |data| data["email"].to_string())
    }
}

pub(crate) async fn goes_on(client: &Client, url: &str) -> Result<(), String> {
    let body: Value = json!({ "email": "new@example.org", "name": "Ada", "address": "1 Row" });
    let answer = Draft::new(Method::POST, "/users", body, 201)
        .send(client, url)
        .await
        .map_err(|error| error.to_string())?;
    (answer.status == 201).then_some(()).ok_or(format!("nobody can sign up: {answer:?}"))
}
