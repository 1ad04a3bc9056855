//! Service D on a disk that loses its power, while it builds its read model and follows the log.

use std::path::Path;
use std::sync::Arc;

use daybook_kafka::Kafka;
use quickstart::client::Client;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use system_tests::broker::TestBroker;
use system_tests::process::Process;
use system_tests::site::QUERY_API;
use system_tests::wait;

use super::buyer::Buyer;
use super::feed::Feed;
use super::load::all_at_once;
use super::recorder::Workshop;
use super::restarted::{Restarted, Which};
use crate::points::{Asked, Figures, Image, data};
use crate::recording;

const CLIENTS: usize = 8;
/// Processes between two power cuts.
const LIVES: u64 = 2;
const MEETINGS: usize = 20;
/// Commands of a client that are projected by a process, if it is not killed before.
const COMMANDS: usize = 100;
/// A process is killed behind one of so many entries.
const ENTRIES: u64 = 800;
/// Of every how many users the answers are compared.
const USERS: usize = 10;
const POLL: std::time::Duration = std::time::Duration::from_millis(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn whatever_a_power_cut_leaves_the_read_model_becomes_what_it_would_have_been() {
    let mut figures = Figures::default();
    for asked in Asked::by_environment().recordings() {
        let (workshop, recorded) = record(asked).await;
        let look = |recorded: Arc<Recorded>, image: Arc<Image>| async move { recorded.look(&image).await };
        figures.look_at(&workshop.eras, asked.seed, recorded, look).await;
    }
    figures.end("query-api").gap_of_a_read_model_is_bounded();
}

async fn record(asked: Asked) -> (Workshop, Recorded) {
    let mut random = StdRng::seed_from_u64(asked.seed);
    let (broker, client) = (TestBroker::embedded(), Client::new());
    let (feed, directory) = (Feed::start(broker.kafka()).await, recording::directory());
    let orders = Restarted::start(Which::Orders, broker.kafka(), &data(directory.path())).await;
    let orders = orders.ready(&client).await.expect("C starts");
    let url = Arc::new(orders.url.clone());
    let live = |mut buyer: Buyer| {
        let url = Arc::clone(&url);
        async move {
            buyer.meet(MEETINGS).await;
            buyer.live(&url, COMMANDS).await;
            buyer
        }
    };
    let mut buyers: Vec<Buyer> = (0..CLIENTS).map(|number| Buyer::new(number, asked.seed, &feed)).collect();
    let mut workshop = Workshop::new(QUERY_API);
    for _ in 0..asked.eras {
        workshop.begin_era();
        for _ in 0..LIVES {
            let mut process = workshop.start(&broker.flags(), Some(random.random_range(1..=ENTRIES)));
            buyers = all_at_once(buyers, live).await;
            follow_to_the_end(&mut process, &client).await;
            if process.has_ended().is_none() {
                process.terminate();
            }
        }
        workshop.end_era(&mut random);
    }
    orders.stop().await.expect("C stops");
    let users = buyers
        .iter()
        .flat_map(|buyer| &buyer.there)
        .step_by(USERS)
        .map(|pair| pair.user.id.clone())
        .collect();
    drop(buyers);
    feed.stop().await;
    let mut recorded = Recorded { users, broker, client, expected: Vec::new() };
    let directory = recording::directory();
    recorded.expected = recorded.answers(&data(directory.path())).await.expect("D without any cut answers");
    (workshop, recorded)
}

/// Waits until D has all there is, or was killed.
async fn follow_to_the_end(process: &mut Process, client: &Client) {
    let Some(address) = process.address_if_it_lives() else { return };
    // An error says that it has been killed.
    let _ = caught_up(client, &format!("http://{address}")).await;
}

async fn caught_up(client: &Client, url: &str) -> Result<Value, String> {
    let deadline = tokio::time::Instant::now() + wait::DEADLINE;
    loop {
        let answer = client.get(&format!("{url}/status")).send().await.map_err(|error| error.to_string())?;
        if answer.body["state"] == "following" && answer.body["lag_total"] == json!(0) {
            return Ok(answer.body);
        }
        if tokio::time::Instant::now() > deadline || answer.body["state"] == "stopped" {
            return Err(format!("it does not catch up: {}", answer.body));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// What there is to compare with.
struct Recorded {
    users: Vec<String>,
    /// The log as it is in the end: D takes from it whatever it lost, and adds nothing.
    broker: TestBroker,
    client: Client,
    expected: Vec<Value>,
}

impl Recorded {
    async fn look(&self, image: &Image) -> Result<(), String> {
        let answers = self.answers(&data(image.directory.path())).await?;
        let differs = answers.iter().zip(&self.expected).find(|(is, was)| is != was);
        differs.map_or(Ok(()), |(is, was)| Err(format!("it says {is}, not {was}")))
    }

    /// What D says from its directory once it has all there is: the digest of all rows, and some answers.
    async fn answers(&self, directory: &Path) -> Result<Vec<Value>, String> {
        let kafka: &Kafka = self.broker.kafka();
        let query = Restarted::start(Which::Query, kafka, directory).await.ready(&self.client).await?;
        let status = caught_up(&self.client, &query.url).await?;
        let mut answers = vec![status["digest"].clone()];
        for user in &self.users {
            let url = format!("{}/users/{user}/products", query.url);
            let answer = self.client.get(&url).send().await.map_err(|error| error.to_string())?;
            answers.push(json!([answer.status, answer.body]));
        }
        query.stop().await?;
        Ok(answers)
    }
}
