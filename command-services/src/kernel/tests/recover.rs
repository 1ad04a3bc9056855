//! `--recover`: a store that was rebuilt equals one that lived on, key by key.

use std::fs;
use std::sync::Arc;

use event_log::{Kafka, Outgoing, Writer};
use serde_json::json;
use tempfile::TempDir;

use super::toy::{Toys, router};
use crate::kernel::{Running, Settings, SystemAmbient};
use crate::testing::{Call, Log, TestService, broker, settings};

/// Toys are made, painted and lost, and names come and go.
async fn live(toys: &TestService<Toys>) {
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

fn write_raw(kafka: &Kafka, partition: i32, value: &[u8]) {
    let writer = Writer::open(kafka, |_| {}).unwrap();
    let record = Outgoing { topic: "toys.events", partition, key: b"k", value, headers: &[], tag: 0 };
    writer.send(record).unwrap();
    writer.flush(std::time::Duration::from_secs(10)).unwrap();
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
    let what_matters = |toys: &TestService<Toys>| [toys.rows(b'A'), toys.rows(b'U'), toys.rows(b'C')];
    let lived_on = what_matters(&toys);
    assert!(lived_on.iter().all(|rows| !rows.is_empty()));
    toys.restart(|settings| settings.recover = true).unwrap();
    assert_eq!(what_matters(&toys), lived_on);
    assert!(toys.settings.data_dir.join("store.old-000001/db").exists());
    toys.restart(|_| {}).unwrap();
    assert!(toys.settings.data_dir.join("store.old-000002/db").exists());
    toys.restart(|settings| settings.recover = false).unwrap();
    assert_eq!(what_matters(&toys), lived_on);
    live(&toys).await;
    toys.relayed();
    Log::read(&broker.kafka(""), "toys.events").events();
}

#[tokio::test(flavor = "multi_thread")]
async fn repetitions_in_the_log_are_taken_once() {
    let broker = broker();
    let kafka = broker.kafka("");
    let mut toys = TestService::<Toys>::start(kafka.clone(), router);
    live(&toys).await;
    toys.relayed();
    let lived_on = toys.rows(b'A');
    toys.stop();
    for (partition, records) in (0..).zip(Log::read(&kafka, "toys.events").partitions) {
        for (_, value) in &records[records.len() / 2..] {
            write_raw(&kafka, partition, value);
        }
    }
    toys.restart(|settings| settings.recover = true).unwrap();
    assert_eq!(toys.rows(b'A'), lived_on);
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
    write_raw(&kafka, 0, event.to_string().as_bytes());
    let refused = toys.restart(|settings| settings.recover = true).unwrap_err().to_string();
    for part in ["--recover did not succeed", "topic toys.events partition 0 offset", "gap"] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
    assert!(dir.join("store/db").exists() && !dir.join("store.old-000001").exists());
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
    let start = |settings: &Settings| Running::<Toys>::start(settings, Arc::new(SystemAmbient));
    write_raw(&kafka, 2, event("toy.sold.v1").to_string().as_bytes());
    let refused = start(&recovering(kafka.clone(), &dir)).err().unwrap().to_string();
    for part in ["topic toys.events partition 2 offset 0", id, "toy.sold.v1"] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
    let (broker, dir) = (self::broker(), TempDir::new().unwrap());
    write_raw(&broker.kafka(""), 2, event("toy.made.v1").to_string().as_bytes());
    let refused = start(&recovering(broker.kafka(""), &dir)).err().unwrap().to_string();
    assert!(refused.contains("version 7") && refused.contains("expected 1"), "{refused}");
    assert!(fs::read_dir(dir.path()).unwrap().count() > 0);
}
