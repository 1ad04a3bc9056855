//! The comparison with the log at the start, on a broker.

use std::fs;
use std::sync::Arc;

use daybook_kafka::Kafka;
use daybook_kafka::embedded::EmbeddedBroker;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::index::opening;
use super::toy::{Toys, router};
use crate::store::Begun;
use crate::store::directory::{Directory, Marker};
use crate::store::keys::LAYOUT;
use crate::testing::{Call, Log, TestService, broker, copy_dir, settings, write_raw};
use crate::{Aggregate, RunError, Running, Settings, StartProgress, SystemAmbient};

pub(super) async fn make(toys: &TestService<Toys>, count: usize, label: &str) {
    for number in 0..count {
        let name = format!("{label} {number}");
        Call::post("/toys", &json!({"name": name})).send(&toys.router).await.is(201);
    }
}

/// All records as their service sealed them.
fn without_epochs(log: &Log) -> Vec<Vec<(String, Value)>> {
    let sealed = |(key, value): &(String, Vec<u8>)| {
        let mut value: Value = serde_json::from_slice(value).unwrap();
        value.as_object_mut().unwrap().remove("writerepoch");
        (key.clone(), value)
    };
    log.partitions.iter().map(|records| records.iter().map(sealed).collect()).collect()
}

#[track_caller]
fn refusal(started: Result<(), RunError>) -> String {
    let error = started.expect_err("the service should have refused to start");
    assert_eq!(error.exit_code(), 1);
    error.to_string()
}

fn start(settings: &Settings) -> Result<(), RunError> {
    Running::<Toys>::start(settings, Arc::new(SystemAmbient), &StartProgress::default())?.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_of_the_store_is_refused() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    make(&toys, 10, "early").await;
    toys.stop();
    let old = TempDir::new().unwrap();
    copy_dir(&toys.settings.data_dir, old.path());
    toys.restart(|_| {}).unwrap();
    make(&toys, 30, "late").await;
    toys.relayed();
    let refused = refusal(toys.restart(|settings| settings.data_dir = old.path().to_owned()));
    assert!(refused.contains("toys.events") && refused.contains("--recover"), "{refused}");
    toys.restart(|settings| settings.recover = true).unwrap();
    make(&toys, 1, "after").await;
    toys.relayed();
    assert_eq!(Log::read(&broker.kafka(""), "toys.events").events().len(), 41);
    toys.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_directory_has_no_business_with_a_topic_that_has_events() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    make(&toys, 5, "toy").await;
    toys.relayed();
    let dir = TempDir::new().unwrap();
    let refused = refusal(start(&settings(broker.kafka(""), dir.path())));
    assert!(refused.contains("knows 0 event(s)") && refused.contains("--recover"), "{refused}");
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["LOCK"], "nothing else was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_everything_gets_it_again() {
    let (first, second) = (broker(), broker());
    let mut toys = TestService::<Toys>::start(first.kafka(""), router);
    make(&toys, 40, "toy").await;
    toys.relayed();
    toys.restart(|settings| settings.kafka = second.kafka("")).unwrap();
    toys.relayed();
    let (before, after) =
        (Log::read(&first.kafka(""), "toys.events"), Log::read(&second.kafka(""), "toys.events"));
    assert_eq!(without_epochs(&before), without_epochs(&after));
    assert_eq!(after.events().len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_log_and_outbox_both_lost_is_named() {
    let (first, second) = (broker(), broker());
    let mut toys = TestService::<Toys>::start_with(first.kafka(""), router, |settings| {
        settings.limits.kept_events_max = 0;
        settings.limits.kept_bytes_max = 0;
    });
    make(&toys, 40, "toy").await;
    toys.relayed();
    // What is sent and in an older segment is not kept.
    toys.restart(|_| {}).unwrap();
    crate::testing::eventually("all events to go", || toys.journaled().is_empty().then_some(()));
    let refused = refusal(toys.restart(|settings| settings.kafka = second.kafka("")));
    for part in ["toys.events partition 0", "before position 0", "--recover"] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_stores_that_wrote_one_partition_are_a_fork() {
    let (first, second) = (broker(), broker());
    let mut here = TestService::<Toys>::start(first.kafka(""), router);
    let there = TestService::<Toys>::start(second.kafka(""), router);
    make(&here, 40, "here").await;
    make(&there, 10, "there").await;
    there.relayed();
    let refused = refusal(here.restart(|settings| settings.kafka = second.kafka("")));
    assert!(refused.contains("fork in topic toys.events partition"), "{refused}");
}

/// The broker has an id of its own and no topic, and makes none when asked.
#[test]
fn no_topic_is_made_in_a_cluster_that_is_not_the_stores() {
    let (broker, dir) = (EmbeddedBroker::start().unwrap(), TempDir::new().unwrap());
    let kafka = Kafka { embedded: false, ..broker.kafka("") };
    let settings = Settings { partitions: 1, ..settings(kafka, dir.path()) };
    let directory = Directory::open(dir.path(), Toys::SERVICE).unwrap();
    let (service, topic) = (Toys::SERVICE.to_owned(), "toys.events".to_owned());
    directory.write_marker(&Marker { service, layout: LAYOUT, topic, partitions: 1 }).unwrap();
    let starting = StartProgress::default();
    let begun = Begun::make(&directory.store(), &opening("theirs", &starting)).unwrap();
    begun.journal.close(0).unwrap();
    drop((begun.index, directory));
    let refused = refusal(start(&settings));
    assert!(refused.contains("cluster theirs") && refused.contains("--adopt-cluster"), "{refused}");
}

#[test]
fn another_number_of_partitions_is_refused() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let wrong = Settings { partitions: 7, ..settings(broker.kafka(""), dir.path()) };
    let refused = refusal(start(&wrong));
    assert!(refused.contains('7') && refused.contains("partitions"), "{refused}");
    start(&settings(broker.kafka(""), dir.path())).unwrap();
    assert!(refusal(start(&wrong)).contains("--partitions"));
}

/// A service is started again, and rebuilt, on a topic with records that it did not write, made from one that it did.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_of_the_service_keeps_it_from_no_start_and_no_recovery() {
    let broker = broker();
    let kafka = broker.kafka("");
    let mut toys = TestService::<Toys>::start(kafka.clone(), router);
    make(&toys, 5, "toy").await;
    toys.relayed();
    toys.stop();
    let before = Log::read(&kafka, "toys.events");
    let (_, own) = before.partitions.iter().flatten().next().unwrap();
    let others = String::from_utf8(own.clone()).unwrap().replace("/toys/", "/dolls/");
    write_raw(&kafka, "toys.events", &[(1, b"hello"), (1, others.as_bytes()), (1, b"")]);
    for (round, recover) in [false, true, false].into_iter().enumerate() {
        toys.restart(|settings| settings.recover = recover).unwrap();
        // Later starts begin to read behind an event that was acknowledged since.
        if round == 0 {
            let [shown] = &toys.service().own_set_aside()[..] else { panic!("one partition has some") };
            assert_eq!((shown.partition, shown.records, shown.end_unproven), (1, 3, false));
        }
        assert_eq!(toys.service().positions.trouble(), None);
        make(&toys, 3, &format!("toy of round {round}")).await;
        toys.relayed();
    }
    toys.stop();
    let after = Log::read(&kafka, "toys.events").partitions;
    assert_eq!(after.iter().flatten().count(), 5 + 3 * 3);
}
