//! A start on a journal of which a segment before the newest one is gone or damaged.

use std::fs;
use std::path::PathBuf;

use daybook_journal::BLOCK_BYTES;
use serde_json::json;
use tempfile::TempDir;

use super::recover::what_matters;
use super::start::make;
use super::toy::{Toys, router};
use crate::testing::{Call, Log, TestService, broker, copy_dir, kafka_is_away};

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

/// Of a segment that is not needed, nothing is read that would refuse a start.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_that_the_log_has_refuses_no_start() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    make(&toys, 5, "sent").await;
    toys.relayed();
    toys.stop();
    let first = &segments(&toys)[0];
    let mut bytes = fs::read(first).unwrap();
    // Every record: the events with which the log ends are among them.
    for block in (1..bytes.len() / BLOCK_BYTES - 2).map(|block| block * BLOCK_BYTES) {
        bytes[block + 100] ^= 1;
    }
    fs::write(first, bytes).unwrap();
    toys.restart(|_| {}).unwrap();
    make(&toys, 5, "after").await;
    toys.relayed();
    assert_eq!(Log::read(&toys.settings.kafka, "toys.events").events().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_has_claimed_and_has_no_journal_is_refused() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start_with(broker.kafka(""), router, kafka_is_away);
    make(&toys, 5, "unsent").await;
    toys.stop();
    let store = toys.settings.data_dir.join("store");
    segments(&toys).iter().for_each(|segment| fs::remove_file(segment).unwrap());
    fs::remove_dir_all(store.join("index")).unwrap();
    toys.settings.kafka.options.clear();
    let refused = toys.restart(|_| {}).expect_err("there was a journal").to_string();
    for part in ["there is no journal in ", "epoch 1", "--recover"] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
    toys.restart(|settings| settings.recover = true).unwrap();
}

/// The newest segment and the index are gone, and the segment before says that there was one.
#[tokio::test(flavor = "multi_thread")]
async fn a_newest_segment_that_is_gone_together_with_the_index_is_refused() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start_with(broker.kafka(""), router, kafka_is_away);
    make(&toys, 5, "unsent").await;
    let killed = TempDir::new().unwrap();
    copy_dir(&toys.settings.data_dir, killed.path());
    toys.stop();
    toys.settings.data_dir = killed.path().to_owned();
    fs::remove_dir_all(killed.path().join("store/index")).unwrap();
    // Killed before it had decided anything new: two segments, and then only the first.
    toys.restart(|_| {}).unwrap();
    make(&toys, 5, "more").await;
    toys.stop();
    let lost = segments(&toys).pop().unwrap();
    fs::remove_file(lost).unwrap();
    fs::remove_dir_all(killed.path().join("store/index")).unwrap();
    let refused = toys.restart(|_| {}).expect_err("a segment is gone").to_string();
    for part in ["lacks segment 2", "--recover"] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
}

/// A copy of the directory has sent what this one has lost with a segment: whether that is the same, it cannot tell any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_ends_with_what_was_lost_and_never_acknowledged_is_refused() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start_with(broker.kafka(""), router, kafka_is_away);
    make(&toys, 20, "one").await;
    toys.stop();
    let (own, other) = (toys.settings.data_dir.clone(), TempDir::new().unwrap());
    copy_dir(&own, other.path());
    toys.restart(kafka_is_away).unwrap();
    make(&toys, 20, "two").await;
    toys.stop();
    toys.settings.kafka.options.clear();
    toys.restart(|settings| settings.data_dir = other.path().to_owned()).unwrap();
    toys.relayed();
    toys.stop();
    toys.settings.data_dir = own;
    fs::remove_file(&segments(&toys)[0]).unwrap();
    let refused = toys.restart(|_| {}).expect_err("nobody can tell").to_string();
    for part in ["lacks segment 1", "unknown without it", "--recover"] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_what_was_lost_here_as_well_is_refused_before_any_claim() {
    let (first, second) = (broker(), broker());
    let mut toys = TestService::<Toys>::start(first.kafka(""), router);
    for life in ["one", "two", "three"] {
        make(&toys, 20, life).await;
        toys.relayed();
        toys.restart(|_| {}).unwrap();
    }
    toys.stop();
    fs::remove_file(&segments(&toys)[1]).unwrap();
    toys.restart(|_| {}).unwrap();
    let refused = toys.restart(|settings| settings.kafka = second.kafka("")).expect_err("it is nowhere");
    assert!(refused.to_string().contains("neither in the journal nor in the log"), "{refused}");
    assert!(Log::read(&second.kafka(""), "toys.events").claims().iter().all(Vec::is_empty));
}
