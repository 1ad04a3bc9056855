//! A directory of service A from before there was a journal, on a disk that loses its power while it is taken over: what
//! commit f1d0a6b left, see `command-services/src/tests/upgraded.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use daybook_event::headers;
use daybook_kafka::{Kafka, Outgoing, Writer};
use quickstart::client::{Answer, Client, ClientError, Method};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use system_tests::binaries;
use system_tests::broker::TestBroker;
use system_tests::power_cut::tree;

use super::log::{self, Watch, Watched};
use super::recorder::Workshop;
use super::restarted::{Restarted, Which};
use super::users::{TOPIC, goes_on};
use crate::points::{Asked, Figures, Image, data};

/// The processes between two power cuts: each is killed behind one of so many entries. To take the directory over has some
/// hundred: the first one is mostly killed in the middle of it, the second one mostly not.
const ENTRIES: [u64; 2] = [120, 400];
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn whatever_a_power_cut_leaves_of_a_directory_that_is_taken_over_it_has_all_that_it_had() {
    let mut figures = Figures::default();
    let under_way = Arc::new(AtomicUsize::new(0));
    for asked in Asked::by_environment().recordings() {
        let (workshop, recorded) = record(asked);
        let under_way = Arc::clone(&under_way);
        let look = move |recorded: Arc<Recorded>, image: Arc<Image>| {
            if data(image.directory.path()).join("store.recovering").exists() {
                under_way.fetch_add(1, Ordering::Relaxed);
            }
            async move { recorded.look(&image).await }
        };
        figures.look_at(&workshop.eras, asked.seed, recorded, look).await;
    }
    let under_way = under_way.load(Ordering::Relaxed);
    eprintln!("upgraded: {under_way} images of a directory that was being taken over");
    figures.end("upgraded");
    assert!(under_way > 0);
}

fn record(asked: Asked) -> (Workshop, Recorded) {
    let mut random = StdRng::seed_from_u64(asked.seed);
    let broker = broker_before();
    let watch = Watch::start(broker.kafka(), &[TOPIC]);
    let mut workshop = Workshop::new("users");
    workshop.change(|disk| {
        disk.insert("data".to_owned(), tree::Node::Directory);
        let (before, _) = tree::read(&fixture("data"));
        disk.extend(before.into_iter().map(|(name, node)| (format!("data/{name}"), node)));
    });
    for _ in 0..asked.eras {
        workshop.begin_era();
        for entries in ENTRIES {
            let kill_at = random.random_range(1..=entries);
            let mut process = workshop.start(&broker.flags(), Some(kill_at));
            if process.address_if_it_lives().is_some() && process.has_ended().is_none() {
                process.terminate();
            }
        }
        workshop.end_era(&mut random);
    }
    (workshop, Recorded::of(watch.stop()))
}

fn fixture(name: &str) -> PathBuf {
    binaries::root().join("command-services/fixtures/users-f1d0a6b").join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&fs::read(fixture(name)).expect("a fixture")).expect("JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

/// A log that has what Kafka had.
fn broker_before() -> TestBroker {
    let broker = TestBroker::embedded();
    let writer = Writer::open(broker.kafka(), |delivery| assert!(delivery.result.is_ok())).expect("a writer");
    for (partition, records) in (0..).zip(json("log.json").as_array().expect("partitions")) {
        for record in records.as_array().expect("records") {
            let (key, value) = (text(&record["key"]).as_bytes(), text(&record["value"]).as_bytes());
            let record = Outgoing { topic: TOPIC, partition, key, value, headers: &[], tag: 0 };
            writer.send(record).expect("room for a record");
        }
    }
    writer.flush(FLUSH_TIMEOUT).expect("a log that takes records");
    broker
}

/// What the directory had, as clients and the log know it.
struct Recorded {
    /// Requests with idempotency keys, and what was answered.
    answered: Vec<(Request, Value)>,
    /// What was shown of each user.
    states: BTreeMap<String, Value>,
    /// Ids of all events by partition and position; some are in the journal only.
    events: BTreeMap<(usize, usize), String>,
    log: Watched,
    client: Client,
}

/// A request as it was sent.
struct Request(Value);

impl Recorded {
    fn of(log: Watched) -> Self {
        let Value::Array(answered) = json("answered.json") else { panic!("a list") };
        let Value::Object(states) = json("states.json") else { panic!("states by user") };
        let outbox = json("outbox.json");
        let place = |value: &Value| value.as_u64().expect("a number") as usize;
        let events = outbox["events"].as_array().expect("events").iter();
        let event = |event: &Value| ((place(&event[0]), place(&event[1])), text(&event[2]).to_owned());
        let answered =
            answered.iter().map(|asked| (Request(asked["request"].clone()), asked["answer"].clone()));
        Self {
            answered: answered.collect(),
            states: states.into_iter().collect(),
            events: events.map(event).collect(),
            log,
            client: Client::new(),
        }
    }

    /// Starts the service on an image, asks it, and looks at the log behind it.
    async fn look(&self, image: &Image) -> Result<(), String> {
        let broker = self.log.at(image.ns, &[]);
        let directory = data(image.directory.path());
        let service = Restarted::start(Which::Users, broker.kafka(), &directory).await;
        let service = service.ready(&self.client).await?;
        self.is_shown(&service.url).await?;
        self.is_repeated(&service.url).await?;
        goes_on(&self.client, &service.url).await?;
        service.stop().await?;
        self.is_in_the_log(broker.kafka())
    }

    async fn is_shown(&self, url: &str) -> Result<(), String> {
        for (id, was) in &self.states {
            let shown = self.client.get(&format!("{url}/users/{id}")).send().await;
            let shown = shown.map_err(|error| error.to_string())?;
            if !is_same(&shown, was, was["etag"].as_str()) {
                return Err(format!("{id} is shown as {shown:?}, and was {was}"));
            }
        }
        Ok(())
    }

    async fn is_repeated(&self, url: &str) -> Result<(), String> {
        for (request, was) in &self.answered {
            let again = request.send(&self.client, url).await.map_err(|error| error.to_string())?;
            let same = is_same(&again, was, header(was, "etag"));
            if !same || again.token.as_deref() != header(was, headers::TOKEN) {
                return Err(format!("{} was answered with {was}, repeated with {again:?}", request.0));
            }
        }
        Ok(())
    }

    /// Every event that the directory had is in the log, once and at its place; and the one that was decided behind it.
    fn is_in_the_log(&self, kafka: &Kafka) -> Result<(), String> {
        let places = log::events(kafka, TOPIC)?;
        let ids = system_tests::log::events(kafka, TOPIC);
        let id =
            |(partition, position): (usize, usize)| ids[partition].get(position).map(ToString::to_string);
        match self.events.iter().find(|(at, was)| id(**at).as_ref() != Some(*was)) {
            Some((at, was)) => Err(format!("{was} was to be at {at:?}, where there is {:?}", id(*at))),
            None if places.len() == self.events.len() + 1 => Ok(()),
            None => Err(format!("{} events are in the log", places.len())),
        }
    }
}

impl Request {
    async fn send(&self, client: &Client, url: &str) -> Result<Answer, ClientError> {
        let method: Method = text(&self.0["method"]).parse().expect("a method");
        let request = client.request(method, &format!("{url}{}", text(&self.0["path"])));
        let headers = self.0["headers"].as_array().expect("headers").iter();
        let request =
            headers.fold(request, |request, header| request.header(text(&header[0]), text(&header[1])));
        // Its fingerprint was made of the bytes.
        match self.0["body"].as_str() {
            Some(body) => request.json_as_is(body).send().await,
            None => request.send().await,
        }
    }
}

/// Whether an answer has this status and body, and this version.
fn is_same(answer: &Answer, was: &Value, etag: Option<&str>) -> bool {
    let body = match text(&was["body"]) {
        "" => Value::Null,
        body => {
            serde_json::from_str(&body.replace("urn:daybook:problem:", "/problems/")).expect("a body in JSON")
        }
    };
    u64::from(answer.status) == was["status"] && answer.body == body && answer.etag.as_deref() == etag
}

fn header<'a>(was: &'a Value, name: &str) -> Option<&'a str> {
    let headers = was["headers"].as_array().expect("headers");
    headers.iter().find(|header| header[0] == name).map(|header| text(&header[1]))
}
