//! Service A on a disk that loses its power.

use std::sync::Arc;

use quickstart::client::{Client, Method};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use system_tests::broker::TestBroker;

use super::load::Shopper;
use super::log::{Watch, Watched};
use super::recorder::Workshop;
use super::restarted::{Restarted, Which};
use super::story::{Draft, Story};
use super::told::Told;
use crate::points::{Asked, Figures, Image, Images, data};

const TOPIC: &str = "users.events";
const CLIENTS: usize = 8;
/// Processes between two power cuts.
const LIVES: u64 = 2;
/// Commands of a client that its process takes, if it is not killed before.
const COMMANDS: usize = 100;
/// A process is killed behind one of so many entries: some three to a group of commands, and some sixty to a start.
const ENTRIES: u64 = 4000;
const REPEAT_EVERY: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn whatever_a_power_cut_leaves_a_service_has_all_that_it_acknowledged_and_its_log_gets_it_once() {
    let asked = Asked::by_environment();
    let (workshop, stories, log) = record(asked).await;
    let recorded = Arc::new(Recorded { stories, log, client: Client::new().unwrap() });
    let mut figures = Figures::default();
    for (number, era) in (0..).zip(&workshop.eras) {
        let images = Images::of(era, number, asked.seed, &mut figures);
        let look = |image: Arc<Image>| {
            let recorded = Arc::clone(&recorded);
            async move { recorded.look(&image).await }
        };
        figures.look_at(images, look).await;
    }
    figures.end("users");
}

async fn record(asked: Asked) -> (Workshop, Vec<Story>, Watched) {
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
            let url = format!("http://{address}");
            let lives = shoppers.into_iter().map(|mut shopper| {
                let url = url.clone();
                tokio::spawn(async move {
                    shopper.live(&url, COMMANDS).await;
                    shopper
                })
            });
            let lives: Vec<_> = lives.collect();
            shoppers = Vec::new();
            for life in lives {
                shoppers.push(life.await.unwrap());
            }
            if process.has_ended().is_none() {
                process.terminate();
            }
        }
        workshop.end_era(&mut random);
    }
    let stories = shoppers.into_iter().flat_map(|shopper| shopper.stories).collect();
    (workshop, stories, watch.stop())
}

/// What clients and the log know.
struct Recorded {
    stories: Vec<Story>,
    log: Watched,
    client: Client,
}

impl Recorded {
    /// Starts the service on an image, asks it, and looks at the log behind it.
    async fn look(&self, image: &Image) -> Result<(), String> {
        let Self { stories, log, client } = self;
        let told = Told { stories, ns: image.ns, repeat_every: REPEAT_EVERY };
        let broker = log.at(image.ns, &[]);
        let directory = data(image.directory.path());
        let start = async |recover| Restarted::start(Which::Users, broker.kafka(), &directory, recover).await;
        let (service, recovered) = match start(false).await.ready(client).await {
            Err(refused) if refused.contains("cannot be opened") => {
                eprintln!("refused {}", image.name);
                let service = start(true).await.ready(client).await;
                (service.map_err(|failed| format!("{refused}\nand with --recover: {failed}"))?, true)
            }
            started => (started?, false),
        };
        told.is_shown(client, &service.url).await?;
        if !recovered {
            told.is_repeated(client, &service.url).await?;
        }
        goes_on(client, &service.url).await?;
        service.stop().await?;
        told.is_in_the_log(broker.kafka(), TOPIC, |data| data["email"].to_string())
    }
}

async fn goes_on(client: &Client, url: &str) -> Result<(), String> {
    let body: Value = json!({ "email": "new@example.org", "name": "Ada", "address": "1 Row" });
    let (method, path) = (Method::POST, "/users".to_owned());
    let draft = Draft { method, path, body, key: None, if_match: None, after: String::new(), expects: 201 };
    let answer = draft.send(client, url).await.map_err(|error| error.to_string())?;
    (answer.status == 201).then_some(()).ok_or(format!("nobody can sign up: {answer:?}"))
}
