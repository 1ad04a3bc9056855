//! `--recover`: a store that was rebuilt equals one that lived on, key by key.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;

use daybook_kafka::Kafka;
use serde_json::json;
use tempfile::TempDir;

use super::toy::{Toys, router};
use crate::testing::{Call, Log, TestService, broker, settings, write_raw};
use crate::{Running, Settings, StartProgress, SystemAmbient};

/// Toys are made, painted and lost, and names come and go.
pub(super) async fn live(toys: &TestService<Toys>) {
    for number in 0..60 {
        let name = format!("toy {}", number % 40);
        let made = Call::post("/toys", &json!({"name": name})).send(&toys.router).await;
        if made.status != 201 {
            continue;
        }
        let path = format!("/toys/{}", made.text("toy_id"));
        Call::patch(&path, &json!({"coats": number % 5})).send(&toys.router).await.is(200);
        if number % 3 == 0 {
            Call::delete(&path).send(&toys.router).await.is(204);
        }
    }
}

/// Everything that the log says: aggregates, unique keys, counters.
pub(super) fn what_matters(toys: &TestService<Toys>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    [b'A', b'U', b'C'].into_iter().flat_map(|kind| toys.rows(kind)).collect()
}

#[track_caller]
pub(super) fn assert_same(lived_on: &BTreeMap<Vec<u8>, Vec<u8>>, rebuilt: &BTreeMap<Vec<u8>, Vec<u8>>) {
    let all: BTreeSet<_> = lived_on.keys().chain(rebuilt.keys()).collect();
    let differing = all.into_iter().filter(|key| lived_on.get(*key) != rebuilt.get(*key));
    let differing: Vec<_> = differing.map(|key| String::from_utf8_lossy(key)).collect();
    assert!(differing.is_empty(), "rows that differ: {differing:?}");
}

fn recovering(kafka: Kafka, dir: &TempDir) -> Settings {
    Settings { recover: true, ..settings(kafka, dir.path()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_store_equals_the_one_that_lived_on() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    live(&toys).await;
    toys.relayed();
    let lived_on = what_matters(&toys);
    assert!(lived_on.len() > 80, "{}", lived_on.len());
    toys.restart(|settings| settings.recover = true).unwrap();
    assert_same(&lived_on, &what_matters(&toys));
    assert!(toys.settings.data_dir.join("store.old-000001/index/db").exists());
    toys.restart(|_| {}).unwrap();
    assert!(!toys.settings.data_dir.join("store.old-000002").exists(), "it has just been rebuilt");
    toys.restart(|settings| settings.recover = false).unwrap();
    assert_same(&lived_on, &what_matters(&toys));
    live(&toys).await;
    toys.relayed();
    Log::read(&broker.kafka(""), "toys.events").events();
}

/// A service that has lived and stopped, what its store says, and the log.
async fn lived(kafka: &Kafka) -> (TestService<Toys>, BTreeMap<Vec<u8>, Vec<u8>>, Log) {
    let mut toys = TestService::<Toys>::start(kafka.clone(), router);
    live(&toys).await;
    toys.relayed();
    let lived_on = what_matters(&toys);
    toys.stop();
    (toys, lived_on, Log::read(kafka, "toys.events"))
}

#[tokio::test(flavor = "multi_thread")]
async fn repetitions_in_the_log_are_taken_once() {
    let broker = broker();
    let kafka = broker.kafka("");
    let (mut toys, lived_on, log) = lived(&kafka).await;
    let late_half = |records: &[(String, Vec<u8>)]| records.len() / 2..records.len();
    let repeated = (0..).zip(&log.partitions).flat_map(|(partition, records)| {
        records[late_half(records)].iter().map(move |(_, value)| (partition, &value[..]))
    });
    write_raw(&kafka, "toys.events", &repeated.collect::<Vec<_>>());
    toys.restart(|settings| settings.recover = true).unwrap();
    assert_same(&lived_on, &what_matters(&toys));
}

/// The log's last record is then no measure of where it ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_at_the_very_end_does_not_shorten_the_log() {
    let broker = broker();
    let kafka = broker.kafka("");
    let (mut toys, lived_on, log) = lived(&kafka).await;
    let early = (0..).zip(&log.partitions).map(|(partition, records)| (partition, &records[1].1[..]));
    write_raw(&kafka, "toys.events", &early.collect::<Vec<_>>());
    toys.restart(|settings| settings.recover = true).unwrap();
    assert_same(&lived_on, &what_matters(&toys));
    live(&toys).await;
    toys.relayed();
    Log::read(&kafka, "toys.events").events();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_with_a_gap_rebuilds_nothing() {
    let broker = broker();
    let kafka = broker.kafka("");
    let mut toys = TestService::<Toys>::start(kafka.clone(), router);
    live(&toys).await;
    toys.relayed();
    toys.stop();
    let dir = toys.settings.data_dir.clone();
    let last = Log::read(&kafka, "toys.events").partitions[0].last().unwrap().1.clone();
    let mut event: serde_json::Value = serde_json::from_slice(&last).unwrap();
    let position: u64 = event["sequence"].as_str().unwrap().parse().unwrap();
    event["sequence"] = json!(format!("{:020}", position + 5));
    write_raw(&kafka, "toys.events", &[(0, event.to_string().as_bytes())]);
    let refused = toys.restart(|settings| settings.recover = true).unwrap_err().to_string();
    for part in ["the store could not be rebuilt", "topic toys.events partition 0 offset", "gap"] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
    assert!(dir.join("store/index/db").exists() && !dir.join("store.old-000001").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_read_is_named() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let kafka = broker.kafka("");
    let id = "018f8e3e-0000-7000-8000-000000000001";
    let event = |event_type: &str| {
        json!({
            "specversion": "1.0", "id": id, "source": "/toys/2", "type": event_type, "subject": id,
            "time": "2024-05-06T07:08:09.123456Z", "sequence": format!("{:020}", 0), "aggregateversion": 7,
            "correlationid": id, "causationid": id, "datacontenttype": "application/json",
            "data": {"toy_id": id, "name": "bear"}
        })
    };
    let start = |settings: &Settings| {
        Running::<Toys>::start(settings, Arc::new(SystemAmbient), &StartProgress::default())
    };
    write_raw(&kafka, "toys.events", &[(2, event("toy.sold.v1").to_string().as_bytes())]);
    let refused = start(&recovering(kafka.clone(), &dir)).err().unwrap().to_string();
    for part in ["topic toys.events partition 2 offset 0", id, "toy.sold.v1"] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
    let (broker, dir) = (self::broker(), TempDir::new().unwrap());
    write_raw(&broker.kafka(""), "toys.events", &[(2, event("toy.made.v1").to_string().as_bytes())]);
    let refused = start(&recovering(broker.kafka(""), &dir)).err().unwrap().to_string();
    assert!(refused.contains("version 7") && refused.contains("expected 1"), "{refused}");
    assert!(fs::read_dir(dir.path()).unwrap().count() > 0);
}

/// A name passes from toy to toy, and with it from partition to partition, which come in any order.
#[tokio::test(flavor = "multi_thread")]
async fn a_unique_key_that_changed_hands_belongs_to_the_last() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let mut last = String::new();
    for round in 0..12 {
        let made = Call::post("/toys", &json!({"name": "bear"})).send(&toys.router).await;
        last = format!("/toys/{}", made.is(201).text("toy_id"));
        if round < 11 {
            Call::delete(&last).send(&toys.router).await.is(204);
        }
    }
    toys.relayed();
    let lived_on = what_matters(&toys);
    for _ in 0..3 {
        toys.restart(|settings| settings.recover = true).unwrap();
        assert_same(&lived_on, &what_matters(&toys));
    }
    let again = Call::post("/toys", &json!({"name": "bear"})).send(&toys.router).await;
    again.is_problem(409, "name-taken");
    Call::get(&last).send(&toys.router).await.is(200);
}
