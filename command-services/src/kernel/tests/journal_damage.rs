//! A start on a journal of which a segment before the newest one is gone or damaged.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::recover::what_matters;
use super::start::make;
use super::toy::{Toys, router};
use crate::testing::{Call, Log, TestService, broker, kafka_is_away};

const NAMED: &str = "bear";

/// Segments of the journal, the oldest first.
fn segments(toys: &TestService<Toys>) -> Vec<PathBuf> {
    let entries = fs::read_dir(toys.settings.data_dir.join("store/journal")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|suffix| suffix == "journal"));
    paths.sort();
    paths
}

fn named() -> Call {
    Call::post("/toys", &json!({"name": NAMED})).header("Idempotency-Key", "\"once\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_segment_whose_events_are_all_in_the_log_costs_its_keys_and_nothing_else() {
    for with_index in [true, false] {
        let broker = broker();
        let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
        named().send(&toys.router).await.is(201);
        make(&toys, 20, "sent").await;
        toys.relayed();
        toys.restart(|_| {}).unwrap();
        make(&toys, 5, "later").await;
        toys.relayed();
        toys.stop();
        fs::remove_file(&segments(&toys)[0]).unwrap();
        if !with_index {
            fs::remove_dir_all(toys.settings.data_dir.join("store/index")).unwrap();
        }
        toys.restart(|_| {}).unwrap();
        // Its key is not known any more; what it did is.
        named().send(&toys.router).await.is_problem(409, "name-taken");
        make(&toys, 5, "after").await;
        toys.relayed();
        assert_eq!(Log::read(&toys.settings.kafka, "toys.events").events().len(), 31);
        let lived_on = what_matters(&toys);
        toys.restart(|_| {}).unwrap();
        assert_eq!(what_matters(&toys), lived_on);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_segment_with_events_that_were_not_sent_is_refused_with_their_positions() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    make(&toys, 5, "sent").await;
    toys.relayed();
    toys.restart(kafka_is_away).unwrap();
    make(&toys, 20, "unsent").await;
    toys.restart(|_| {}).unwrap();
    toys.stop();
    fs::remove_file(&segments(&toys)[1]).unwrap();
    toys.settings.kafka.options.clear();
    let refused = toys.restart(|_| {}).expect_err("events are gone").to_string();
    for part in [
        "lacks segment 2",
        "positions ",
        " of partition ",
        "neither in the journal nor in the log",
        "--recover",
    ] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
    let claims = Log::read(&toys.settings.kafka, "toys.events").claims();
    assert_eq!(claims.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 3], "who refuses claims nothing");
    toys.restart(|settings| settings.recover = true).unwrap();
    toys.restart(|settings| settings.recover = false).unwrap();
    make(&toys, 1, "after").await;
    toys.relayed();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_the_place_of_the_index_is_put_aside() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    make(&toys, 5, "toy").await;
    let lived_on = what_matters(&toys);
    for _ in 0..2 {
        toys.stop();
        let index = toys.settings.data_dir.join("store/index");
        fs::remove_dir_all(&index).unwrap();
        fs::write(&index, "x").unwrap();
        toys.restart(|_| {}).unwrap();
        assert_eq!(what_matters(&toys), lived_on);
    }
}
