//! A directory of service A from before there was a journal, taken over.
//!
//! The fixture is what A of commit f1d0a6b left after it had stopped in order with events that Kafka did not have: the
//! directory, the records of its topic, the answers to all requests that had an idempotency key, and what it showed of each
//! user. It remembered for 500 years.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use event_log::embedded::EmbeddedBroker;
use serde::Deserialize;
use tempfile::TempDir;
use uuid::Uuid;

use super::answered_before::Asked;
use crate::kernel::{RunError, Settings};
use crate::shop::users::Users;
use crate::shop::users::http::router;
use crate::testing::{Call, Log, TestService, broker, copy_dir, kafka_is_away, write_raw};

const TOPIC: &str = "users.events";
/// Longer than any clock of this test is off.
const FOR_EVER: Duration = Duration::from_secs(1 << 33);

#[derive(Deserialize)]
struct Record {
    value: String,
}

#[derive(Deserialize)]
struct State {
    status: u16,
    etag: Option<String>,
    body: String,
}

#[derive(Deserialize)]
struct Outbox {
    events: Vec<(i32, u64, Uuid)>,
    acknowledged: Vec<u64>,
    next: Vec<u64>,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/users-f1d0a6b").join(name)
}

fn read<T: for<'d> Deserialize<'d>>(name: &str) -> T {
    serde_json::from_slice(&fs::read(fixture(name)).unwrap()).unwrap()
}

/// A broker that has what Kafka had.
fn broker_before() -> EmbeddedBroker {
    let broker = broker();
    let log: Vec<Vec<Record>> = read("log.json");
    for (partition, records) in (0..).zip(&log) {
        let records: Vec<_> = records.iter().map(|record| (partition, record.value.as_bytes())).collect();
        write_raw(&broker.kafka(""), TOPIC, &records);
    }
    broker
}

/// Puts the fixture's directory where the service is going to look. Nothing is sent yet.
fn before(settings: &mut Settings) {
    kafka_is_away(settings);
    settings.limits.kept_age_max = FOR_EVER;
    copy_dir(&fixture("data"), &settings.data_dir);
}

fn start(broker: &EmbeddedBroker) -> TestService<Users> {
    TestService::start_with(broker.kafka(""), router, before)
}

/// Everything that A had, and every answer that it had given.
async fn assert_all_is_there(users: &TestService<Users>) {
    for (id, expected) in read::<BTreeMap<Uuid, State>>("states.json") {
        let shown = Call::get(format!("/users/{id}")).send(&users.router).await;
        assert_eq!((shown.status.as_u16(), &shown.body), (expected.status, &expected.body.into()), "{id}");
        assert_eq!(shown.header("etag"), expected.etag.as_deref(), "{id}");
    }
    let all: Vec<Asked> = read("answered.json");
    assert!(all.len() > 40);
    for asked in all {
        asked.is(&asked.request.call().send(&users.router).await);
        if !asked.request.headers.iter().any(|(name, _)| name == "if-match") {
            let other = asked.request.call().header("if-match", "\"77\"");
            other.send(&users.router).await.is_problem(422, "idempotency-key-reused");
        }
    }
}

/// The log has every event at its place once the relay has run.
fn assert_all_is_sent(users: &mut TestService<Users>, broker: &EmbeddedBroker) {
    users.restart(|settings| settings.kafka.options.clear()).unwrap();
    users.relayed();
    let outbox: Outbox = read("outbox.json");
    let log = Log::read(&broker.kafka(""), TOPIC);
    assert_eq!(log.events().len(), outbox.events.len());
    for (partition, position, id) in outbox.events {
        let (_, value) = &log.partitions[partition as usize][position as usize];
        let event: serde_json::Value = serde_json::from_slice(value).unwrap();
        assert_eq!(event["id"], id.to_string(), "partition {partition} position {position}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_had_is_there_and_what_it_had_not_sent_is_sent() {
    let broker = broker_before();
    let mut users = start(&broker);
    let outbox: Outbox = read("outbox.json");
    let look = users.service().positions.look();
    assert_eq!((look.acknowledged, look.durable), (outbox.acknowledged, outbox.next));
    let ids: Vec<_> =
        users.journaled().iter().map(|event| (event.partition, event.position, event.id)).collect();
    assert_eq!(ids, outbox.events, "sent ones are kept as well");
    assert_all_is_there(&users).await;
    assert_all_is_sent(&mut users, &broker);
    assert_all_is_there(&users).await;
    let dir = &users.settings.data_dir;
    let marker = fs::read_to_string(dir.join("daybook.json")).unwrap();
    // A program from before refuses it by its marker, and what it wrote is kept.
    assert!(marker.contains("\"layout\": 5") && !dir.join("store/db").exists(), "{marker}");
    assert!(dir.join("store.old-000001/db").exists());
}

/// A process that takes a directory over may be killed between any two steps.
#[tokio::test(flavor = "multi_thread")]
async fn a_taking_over_that_was_interrupted_is_done_again() {
    let whole = start(&broker_before());
    let whole_dir = whole.settings.data_dir.clone();
    // The names as they are at the end, and what they were before each step.
    for step in ["half built", "built", "marked", "the old store is moved"] {
        let (broker, left) = (broker_before(), TempDir::new().unwrap());
        let left = left.path().join("data");
        copy_dir(&whole_dir, &left);
        let [store, recovering, old] =
            ["store", "store.recovering", "store.old-000001"].map(|name| left.join(name));
        fs::rename(&store, &recovering).unwrap();
        if step != "the old store is moved" {
            fs::rename(&old, &store).unwrap();
        }
        if matches!(step, "half built" | "built") {
            fs::copy(fixture("data/daybook.json"), left.join("daybook.json")).unwrap();
        }
        if step == "half built" {
            fs::remove_dir_all(recovering.join("index")).unwrap();
        }
        let mut users = TestService::<Users>::start_with(broker.kafka(""), router, |settings| {
            kafka_is_away(settings);
            settings.limits.kept_age_max = FOR_EVER;
            copy_dir(&left, &settings.data_dir);
        });
        assert_all_is_there(&users).await;
        assert_all_is_sent(&mut users, &broker);
    }
    drop(whole);
}

fn refused(dir: &Path, kafka: &EmbeddedBroker) -> RunError {
    let elsewhere = broker();
    let mut users = TestService::<Users>::start(elsewhere.kafka(""), router);
    let moved = |settings: &mut Settings| {
        settings.kafka = kafka.kafka("");
        settings.data_dir = dir.to_owned();
    };
    users.restart(moved).unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outbox_that_is_not_whole_is_refused_by_name_and_recovered_as_far_as_it_is() {
    let (dir, at) = (TempDir::new().unwrap(), 20);
    let data = dir.path().join("data");
    copy_dir(&fixture("data"), &data);
    without_outbox_row(&data.join("store"), 2, at);
    let broker = broker_before();
    let said = refused(&data, &broker).to_string();
    assert!(said.contains("no event at position") && said.contains("of partition 2"), "{said}");
    assert!(said.contains("--recover"), "{said}");
    let elsewhere = self::broker();
    let mut users = TestService::<Users>::start(elsewhere.kafka(""), router);
    users
        .restart(|settings| {
            settings.kafka = broker.kafka("");
            settings.data_dir = data;
            settings.recover = true;
        })
        .unwrap();
    users.relayed();
    let outbox: Outbox = read("outbox.json");
    let sent = Log::read(&broker.kafka(""), TOPIC).events().len();
    assert!(sent > outbox.acknowledged.iter().sum::<u64>() as usize && sent < outbox.events.len(), "{sent}");
    // The directory is one of today.
    users.restart(|settings| settings.recover = false).unwrap();
}

/// Removes the outbox row that has this position.
fn without_outbox_row(store: &Path, partition: i32, position: u64) {
    let store = crate::kernel::Store::open(store, 1 << 20).unwrap();
    let row = |position: u64| [&b"O"[..], &partition.to_be_bytes(), &position.to_be_bytes()].concat();
    let (key, _) = store.last(&(row(0), row(position + 1))).unwrap().unwrap();
    store.apply(vec![(key.to_vec(), None)]).unwrap();
    store.close().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_recovered_with_what_it_had_not_sent() {
    let broker = broker_before();
    let mut users = TestService::<Users>::start_with(broker.kafka(""), router, |settings| {
        before(settings);
        settings.recover = true;
    });
    for (id, expected) in read::<BTreeMap<Uuid, State>>("states.json") {
        Call::get(format!("/users/{id}")).send(&users.router).await.is(expected.status);
    }
    users.settings.recover = false;
    assert_all_is_sent(&mut users, &broker);
}
