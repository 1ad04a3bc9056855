//! A directory of service A from an earlier version, taken over: one from before there was a journal, and one from before
//! unique keys had a form.
//!
//! Each fixture is what A of the commit in its name left after it had stopped in order with events that Kafka did not have:
//! the directory, the records of its topic, the answers to all requests that had an idempotency key, and what it showed of
//! each user.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use daybook_kafka::embedded::EmbeddedBroker;
use serde::Deserialize;
use tempfile::TempDir;
use uuid::Uuid;

use super::answered_before::{Asked, today};
use crate::testing::users_router as router;
use crate::testing::{
    Call, Log, TestService, broker, copy_dir, kafka_is_away, without_outbox_row, write_raw,
};
use crate::users::Users;
use daybook_command::{RunError, Settings};

const TOPIC: &str = "users.events";
/// Longer than any clock of this test is off.
const FOR_EVER: Duration = Duration::from_secs(1 << 33);

#[derive(Deserialize)]
struct Record {
    value: String,
}

#[derive(Deserialize)]
pub(super) struct State {
    pub(super) status: u16,
    etag: Option<String>,
    pub(super) body: String,
}

#[derive(Deserialize)]
struct Outbox {
    events: Vec<(i32, u64, Uuid)>,
    acknowledged: Vec<u64>,
    next: Vec<u64>,
}

/// What A of one commit left.
#[derive(Clone, Copy)]
pub(super) struct Fixture(&'static str);

/// From before there was a journal.
const JOURNALLESS: Fixture = Fixture("users-f1d0a6b");
/// From before unique keys had a form. Some of its users have one e-mail address by today's.
pub(super) const FORMLESS: Fixture = Fixture("users-fd1c4c2");

impl Fixture {
    pub(super) fn path(self, name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(self.0).join(name)
    }

    pub(super) fn read<T: for<'d> Deserialize<'d>>(self, name: &str) -> T {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// When it was left, by the id of its newest event: it need not have remembered until today.
    fn left_at(self) -> SystemTime {
        let events = self.read::<Outbox>("outbox.json").events;
        let times = events.iter().map(|(.., id)| id.get_timestamp().unwrap().to_unix().0);
        UNIX_EPOCH + Duration::from_secs(times.max().unwrap() + 1)
    }

    /// A broker that has what Kafka had.
    pub(super) fn broker(self) -> EmbeddedBroker {
        let broker = broker();
        let log: Vec<Vec<Record>> = self.read("log.json");
        for (partition, records) in (0..).zip(&log) {
            let records: Vec<_> = records.iter().map(|record| (partition, record.value.as_bytes())).collect();
            write_raw(&broker.kafka(""), TOPIC, &records);
        }
        broker
    }

    /// Puts the fixture's directory where the service is going to look. Nothing is sent yet.
    pub(super) fn place(self, settings: &mut Settings) {
        kafka_is_away(settings);
        settings.limits.kept_age_max = FOR_EVER;
        copy_dir(&self.path("data"), &settings.data_dir);
    }

    pub(super) fn start(self, broker: &EmbeddedBroker) -> TestService<Users> {
        TestService::start_at(self.left_at(), broker.kafka(""), router, |settings| self.place(settings))
    }

    /// Everything that A had, and every answer that it had given.
    pub(super) async fn assert_all_is_there(self, users: &TestService<Users>) {
        for (id, expected) in self.read::<BTreeMap<Uuid, State>>("states.json") {
            let shown = Call::get(format!("/users/{id}")).send(&users.router).await;
            assert_eq!(
                (shown.status.as_u16(), &shown.body),
                (expected.status, &today(&expected.body).into()),
                "{id}"
            );
            assert_eq!(shown.header("etag"), expected.etag.as_deref(), "{id}");
        }
        let all: Vec<Asked> = self.read("answered.json");
        assert!(all.len() >= 19);
        for asked in all {
            asked.is(&asked.request.call().send(&users.router).await);
            if !asked.request.headers.iter().any(|(name, _)| name == "if-match") {
                let other = asked.request.call().header("if-match", "\"77\"");
                other.send(&users.router).await.is_problem(422, "idempotency-key-reused");
            }
        }
    }

    /// Its events, and nothing else, are where they were.
    pub(super) fn assert_all_is_journaled(self, users: &TestService<Users>) {
        let outbox: Outbox = self.read("outbox.json");
        assert_eq!(users.acknowledged_and_durable(), (outbox.acknowledged, outbox.next));
        let ids: Vec<_> =
            users.journaled().iter().map(|event| (event.partition, event.position, event.id)).collect();
        assert_eq!(ids, outbox.events, "sent ones are kept as well");
    }

    /// The log has every event at its place once the relay has run.
    pub(super) fn assert_all_is_sent(self, users: &mut TestService<Users>, broker: &EmbeddedBroker) {
        users.restart(|settings| settings.kafka.options.clear()).unwrap();
        users.relayed();
        let outbox: Outbox = self.read("outbox.json");
        let log = Log::read(&broker.kafka(""), TOPIC);
        assert_eq!(log.events().len(), outbox.events.len());
        for (partition, position, id) in outbox.events {
            let (_, value) = &log.partitions[partition as usize][position as usize];
            let event: serde_json::Value = serde_json::from_slice(value).unwrap();
            assert_eq!(event["id"], id.to_string(), "partition {partition} position {position}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_had_is_there_and_what_it_had_not_sent_is_sent() {
    let broker = JOURNALLESS.broker();
    let mut users = JOURNALLESS.start(&broker);
    JOURNALLESS.assert_all_is_journaled(&users);
    JOURNALLESS.assert_all_is_there(&users).await;
    JOURNALLESS.assert_all_is_sent(&mut users, &broker);
    JOURNALLESS.assert_all_is_there(&users).await;
    let dir = &users.settings.data_dir;
    let marker = fs::read_to_string(dir.join("daybook.json")).unwrap();
    // A program from before refuses it by its marker, and what it wrote is kept.
    assert!(marker.contains("\"layout\": 6") && !dir.join("store/db").exists(), "{marker}");
    assert!(dir.join("store.old-000001/db").exists());
}

/// A process that takes a directory over may be killed between any two steps.
#[tokio::test(flavor = "multi_thread")]
async fn a_taking_over_that_was_interrupted_is_done_again() {
    let whole = JOURNALLESS.start(&JOURNALLESS.broker());
    let whole_dir = whole.settings.data_dir.clone();
    // The names as they are at the end, and what they were before each step.
    for step in ["half built", "built", "marked", "marked by an earlier version", "the old store is moved"] {
        let (broker, left) = (JOURNALLESS.broker(), TempDir::new().unwrap());
        let left = left.path().join("data");
        copy_dir(&whole_dir, &left);
        let [store, recovering, old] =
            ["store", "store.recovering", "store.old-000001"].map(|name| left.join(name));
        fs::rename(&store, &recovering).unwrap();
        if step != "the old store is moved" {
            fs::rename(&old, &store).unwrap();
        }
        if matches!(step, "half built" | "built") {
            fs::copy(JOURNALLESS.path("data/daybook.json"), left.join("daybook.json")).unwrap();
        }
        if step == "marked by an earlier version" {
            let marker = fs::read_to_string(left.join("daybook.json")).unwrap();
            fs::write(left.join("daybook.json"), marker.replace("\"layout\": 6", "\"layout\": 4")).unwrap();
        }
        if step == "half built" {
            fs::remove_dir_all(recovering.join("index")).unwrap();
        }
        let mut users = TestService::<Users>::start_with(broker.kafka(""), router, |settings| {
            kafka_is_away(settings);
            settings.limits.kept_age_max = FOR_EVER;
            copy_dir(&left, &settings.data_dir);
        });
        JOURNALLESS.assert_all_is_there(&users).await;
        JOURNALLESS.assert_all_is_sent(&mut users, &broker);
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
    copy_dir(&JOURNALLESS.path("data"), &data);
    without_outbox_row(&data.join("store"), 2, at);
    let broker = JOURNALLESS.broker();
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
    let outbox: Outbox = JOURNALLESS.read("outbox.json");
    let sent = Log::read(&broker.kafka(""), TOPIC).events().len();
    assert!(sent > outbox.acknowledged.iter().sum::<u64>() as usize && sent < outbox.events.len(), "{sent}");
    // The directory is one of today.
    users.restart(|settings| settings.recover = false).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_recovered_with_what_it_had_not_sent() {
    let broker = JOURNALLESS.broker();
    let mut users = TestService::<Users>::start_with(broker.kafka(""), router, |settings| {
        JOURNALLESS.place(settings);
        settings.recover = true;
    });
    for (id, expected) in JOURNALLESS.read::<BTreeMap<Uuid, State>>("states.json") {
        Call::get(format!("/users/{id}")).send(&users.router).await.is(expected.status);
    }
    users.settings.recover = false;
    JOURNALLESS.assert_all_is_sent(&mut users, &broker);
}
