//! Each event names the one before it, and the first of each partition its log, whoever sends it.

use std::collections::BTreeSet;
use std::fs;

use daybook_event::sequence::Verdict;
use daybook_kafka::partition_for_key;
use serde_json::json;
use uuid::Uuid;

use super::start::make;
use super::toy::{ToyCommand, Toys, router};
use crate::testing::{Log, PARTITIONS, TestService, broker, execute, settings};

/// Makes a toy whose events lie in a partition.
async fn make_in(toys: &TestService<Toys>, partition: i32) {
    let is_there = |id: &Uuid| partition_for_key(id.to_string().as_bytes(), PARTITIONS) == partition;
    let id = (1..).map(Uuid::from_u128).find(is_there).unwrap();
    execute(toys.service(), id, ToyCommand::Make(id, format!("in {partition}"))).await;
    toys.relayed();
}

/// What the first event of each partition names; asserts that each further one names the one before it.
#[track_caller]
fn log_ids(toys: &TestService<Toys>) -> Vec<Option<Uuid>> {
    let mut log_ids = Vec::new();
    for records in Log::read(&toys.settings.kafka, "toys.events").partitions {
        let (mut sequence, mut first, mut before) =
            (daybook_event::sequence::Sequence::default(), None, None);
        for (offset, (_, value)) in (0..).zip(&records) {
            if let Some(claim) = daybook_event::claim::open(Some(value)) {
                let claim = claim.unwrap();
                sequence.pass(sequence.check_claim(claim.epoch), claim.epoch, claim.id, offset);
                continue;
            }
            let event = daybook_event::envelope::open(Some(value), Vec::new).unwrap();
            let verdict = sequence.check(event.writer_epoch, event.position, event.id, None).unwrap();
            sequence.pass(verdict, event.writer_epoch, event.id, offset);
            match (verdict, event.position) {
                (Verdict::Apply, 0) => first = event.previous_id,
                (Verdict::Apply, _) => assert_eq!(event.previous_id, before, "{event:?}"),
                _ => continue,
            }
            before = Some(event.id);
        }
        log_ids.push(first);
    }
    log_ids
}

fn instance(toys: &TestService<Toys>) -> Uuid {
    let noted = fs::read(toys.settings.data_dir.join("writer.json")).unwrap();
    let noted: serde_json::Value = serde_json::from_slice(&noted).unwrap();
    noted["instance"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn links_go_on_over_starts_lost_connections_and_recoveries() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    make(&toys, 30, "first").await;
    toys.relayed();
    let log_id = Some(instance(&toys));
    assert_eq!(log_ids(&toys), [log_id; 3]);
    toys.restart(|_| {}).unwrap();
    make(&toys, 30, "restarted").await;
    toys.service().positions.distrust_log(1, "an election".to_owned());
    make(&toys, 30, "claimed anew").await;
    toys.relayed();
    toys.restart(|settings| settings.recover = true).unwrap();
    make(&toys, 30, "recovered").await;
    toys.relayed();
    assert_eq!(log_ids(&toys), [log_id; 3]);
}

/// Else those who follow would take what it writes there for another log's.
#[tokio::test(flavor = "multi_thread")]
async fn another_instance_goes_on_in_the_same_log_also_where_there_was_nothing_yet() {
    let (broker, other) = (broker(), tempfile::TempDir::new().unwrap());
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    make_in(&toys, 1).await;
    let log_id = Some(instance(&toys));
    toys.restart(|settings| {
        let kafka = settings.kafka.clone();
        *settings = self::settings(kafka, &other.path().join("data"));
        (settings.recover, settings.take_over) = (true, true);
    })
    .unwrap();
    assert_ne!(Some(instance(&toys)), log_id);
    make_in(&toys, 0).await;
    assert_eq!(log_ids(&toys), [log_id, log_id, None]);
    toys.restart(|settings| (settings.recover, settings.take_over) = (false, false)).unwrap();
    make_in(&toys, 2).await;
    assert_eq!(log_ids(&toys), [log_id; 3]);
}

/// Its events were sent with an id that nobody knows any more.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_lost_which_instance_it_was_names_no_log() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    make_in(&toys, 1).await;
    let log_id = Some(instance(&toys));
    toys.stop();
    fs::remove_file(toys.settings.data_dir.join("writer.json")).unwrap();
    toys.restart(|settings| settings.take_over = true).unwrap();
    make_in(&toys, 0).await;
    toys.restart(|settings| settings.take_over = false).unwrap();
    make_in(&toys, 2).await;
    assert_eq!(log_ids(&toys), [None, log_id, None]);
    let named: BTreeSet<_> = log_ids(&toys).into_iter().flatten().collect();
    assert_eq!(named.len(), 1);
}

/// A directory that has claimed and has no event yet was begun with by whoever it is.
#[tokio::test(flavor = "multi_thread")]
async fn who_lost_it_before_the_first_event_is_whose_log_it_is() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    toys.stop();
    fs::remove_file(toys.settings.data_dir.join("writer.json")).unwrap();
    toys.restart(|settings| settings.take_over = true).unwrap();
    make_in(&toys, 0).await;
    assert_eq!(log_ids(&toys), [Some(instance(&toys)), None, None]);
}

/// A program from before there were links writes the file without what it does not know.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_begun_with_by_a_program_from_before_names_no_log() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    make_in(&toys, 1).await;
    let log_id = Some(instance(&toys));
    toys.stop();
    let noted = json!({ "instance": instance(&toys), "epoch": 1 });
    fs::write(toys.settings.data_dir.join("writer.json"), noted.to_string()).unwrap();
    toys.restart(|_| {}).unwrap();
    make_in(&toys, 0).await;
    assert_eq!(log_ids(&toys), [None, log_id, None]);
}

/// What was not sent, or has to be sent again, is of the log that was.
#[tokio::test(flavor = "multi_thread")]
async fn who_recovers_without_knowing_who_it_was_begins_no_log() {
    let (before, after) = (broker(), broker());
    let mut toys = TestService::<Toys>::start(before.kafka(""), router);
    make_in(&toys, 1).await;
    toys.stop();
    fs::remove_file(toys.settings.data_dir.join("writer.json")).unwrap();
    toys.restart(|settings| {
        settings.kafka = after.kafka("");
        (settings.recover, settings.adopt_cluster) = (true, true);
    })
    .unwrap();
    toys.relayed();
    make_in(&toys, 0).await;
    assert_eq!(log_ids(&toys), [None, None, None]);
    assert_eq!(Log::read(&toys.settings.kafka, "toys.events").events().len(), 2);
}
