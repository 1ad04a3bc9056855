//! What a start makes of a journal that lost its end, and of an index that lacks what no record has.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::toy::{Toys, router};
use crate::testing::{Call, Log, Reply, TestService, broker, copy_dir, write_raw};

async fn make(toys: &TestService<Toys>, name: &str) -> Reply {
    Call::post("/toys", &json!({"name": name})).header("idempotency-key", name).send(&toys.router).await
}

/// Of the names, all are taken.
async fn assert_taken(toys: &TestService<Toys>, names: &[&str]) {
    for name in names {
        let again = Call::post("/toys", &json!({"name": name})).send(&toys.router).await;
        again.is_problem(409, "name-taken");
    }
}

/// Flips a bit in the last record of a journal that was not closed: the last block that is not all zeroes.
fn flip_last_record(data: &Path) {
    let segments = fs::read_dir(data.join("store/journal")).unwrap().map(|entry| entry.unwrap().path());
    let live = segments.filter(|path| path.extension().is_some_and(|name| name == "journal")).max().unwrap();
    let mut bytes = fs::read(&live).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[last] ^= 1;
    fs::write(live, bytes).unwrap();
}

/// A directory as a process that was killed leaves it, whose last record is damaged; Kafka has all of its events.
async fn without_its_last_record(toys: &mut TestService<Toys>) -> TempDir {
    // Enough for every partition to have some.
    for number in 0..30 {
        make(toys, &format!("toy-{number}")).await.is(201);
    }
    toys.relayed();
    let killed = TempDir::new().unwrap();
    copy_dir(&toys.settings.data_dir, killed.path());
    toys.stop();
    flip_last_record(killed.path());
    killed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_record_that_the_log_has_is_taken_from_there() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let killed = without_its_last_record(&mut toys).await;
    toys.restart(|settings| settings.data_dir = killed.path().to_owned()).unwrap();
    assert_taken(&toys, &["toy-0", "toy-17", "toy-29"]).await;
    // Of the others the keys are known.
    make(&toys, "toy-28").await.is(201);
    make(&toys, "boat").await.is(201);
    toys.relayed();
    assert_eq!(Log::read(&broker.kafka(""), "toys.events").events().len(), 31);
    toys.stop();
}

/// What a killed process had under way lands in the log after a start that could not claim all of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_late_before_all_is_claimed_is_taken_from_the_log_as_well() {
    let (before, broker) = (broker(), broker());
    let mut toys = TestService::<Toys>::start(before.kafka(""), router);
    let killed = without_its_last_record(&mut toys).await;
    let log = Log::read(&before.kafka(""), "toys.events");
    for (partition, records) in (0..).zip(&log.partitions) {
        let records: Vec<_> = records.iter().map(|(_, value)| (partition, &value[..])).collect();
        write_raw(&broker.kafka(""), "toys.events", &records);
    }
    toys.restart(|_| {}).unwrap();
    let late = late_of_partition_0(&toys, log.partitions[0].len()).await;
    broker.refuse_writes(1).unwrap();
    let refused = toys.restart(|settings| {
        settings.kafka = broker.kafka("");
        settings.data_dir = killed.path().to_owned();
    });
    let refused = refused.unwrap_err();
    assert!(refused.may_pass() && refused.to_string().contains("partition 0 refuses writes"), "{refused}");
    write_raw(&broker.kafka(""), "toys.events", &[(0, late.to_string().as_bytes())]);
    toys.restart(|_| {}).unwrap();
    assert_taken(&toys, &["toy-0", "toy-29", late["data"]["name"].as_str().unwrap()]).await;
    make(&toys, "boat").await.is(201);
    toys.relayed();
    assert_eq!(Log::read(&broker.kafka(""), "toys.events").events().len(), 32);
    toys.stop();
}

/// The event that comes next in that partition, as the process before would have sent it.
async fn late_of_partition_0(toys: &TestService<Toys>, known: usize) -> Value {
    for number in 0.. {
        make(toys, &format!("late-{number}")).await.is(201);
        toys.relayed();
        let log = Log::read(&toys.settings.kafka, "toys.events");
        if let Some((_, value)) = log.partitions[0].get(known) {
            let mut event: Value = serde_json::from_slice(value).unwrap();
            event["writerepoch"] = json!(1);
            return event;
        }
    }
    unreachable!("one of them belongs there")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_ends_before_its_index_was_built_leaves_no_index_that_lacks_something() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let killed = without_its_last_record(&mut toys).await;
    let in_the_way = killed.path().join("store/index.building");
    fs::write(&in_the_way, "in the way").unwrap();
    toys.restart(|settings| settings.data_dir = killed.path().to_owned()).unwrap_err();
    fs::remove_file(in_the_way).unwrap();
    toys.restart(|_| {}).unwrap();
    assert_taken(&toys, &["toy-0", "toy-17", "toy-29"]).await;
    toys.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_lacks_what_no_record_has_is_built_again() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    make(&toys, "bear").await.is(201);
    toys.relayed();
    // The new journal begins behind the log, and has no record of it.
    toys.restart(|settings| settings.recover = true).unwrap();
    toys.settings.recover = false;
    toys.stop();
    let index = toys.settings.data_dir.join("store/index");
    fs::remove_dir_all(&index).unwrap();
    fs::create_dir(&index).unwrap();
    toys.restart(|_| {}).unwrap();
    assert_taken(&toys, &["bear"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_copy_of_another_history_is_refused() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let copy = without_its_last_record(&mut toys).await;
    toys.restart(|_| {}).unwrap();
    make(&toys, "boat").await.is(201);
    toys.relayed();
    toys.stop();
    // A copy of another history, which says that it is this one.
    let (first, second) = (self::broker(), TempDir::new().unwrap());
    let mut other = TestService::<Toys>::start(first.kafka(""), router);
    let forked = without_its_last_record(&mut other).await;
    copy_dir(forked.path(), second.path());
    fs::copy(copy.path().join("writer.json"), second.path().join("writer.json")).unwrap();
    let refused =
        toys.restart(|settings| settings.data_dir = second.path().to_owned()).unwrap_err().to_string();
    assert!(refused.contains("--recover"), "{refused}");
}
