//! A partition that is back is followed again whatever the others carry; what a pause does not wait for.

use std::sync::mpsc::sync_channel;
use std::thread;

use daybook_event::sequence::Reached;
use daybook_kafka::topics::{Held, Watermarks};
use daybook_service::Stop;
use daybook_stream::PartitionState;
use tempfile::TempDir;

use super::*;
use crate::testing::{broker, eventually};
use crate::tests::toy::Toys;

fn source(partition: i32, away: Option<&str>) -> FollowedPartition {
    let away = away.map(str::to_owned);
    let state = PartitionState::resume("toys.events".into(), partition, "toys", Reached::default());
    FollowedPartition { table: 0, form: 0, state, ready_offset: Some(0), away }
}

fn follower(kafka: Kafka, store: Arc<Store>, committer: SyncSender<Work<Toys>>) -> Follower<Toys> {
    Follower {
        kafka,
        store,
        committer,
        positions: Arc::new(FollowedPositions::new(&[])),
        metrics: Arc::new(Metrics::default()),
        stopping: Stop::default(),
        doubt: Slot::default(),
        readings: Readings::default(),
        opening: 0,
        reporter: FollowReporter::default(),
    }
}

fn nobody() -> Kafka {
    let (brokers, topic_prefix) = ("127.0.0.1:1".to_owned(), String::new());
    Kafka { brokers, options: Vec::new(), topic_prefix, embedded: true }
}

/// Else C would not be ready for as long as the pause has grown.
#[test]
fn whoever_pauses_goes_on_once_the_store_was_opened_afresh() {
    let dir = TempDir::new().unwrap();
    let store = Arc::new(Store::open(&dir.path().join("store"), 1 << 20).unwrap());
    let follower = follower(nobody(), store, sync_channel(1).0);
    let positions = Arc::clone(&follower.positions);
    let pausing = thread::spawn(move || follower.wait(Duration::from_hours(1)));
    positions.begin_again();
    eventually("the pause to end", || pausing.is_finished().then_some(()));
}

/// Each silent leader would be waited for.
#[test]
fn a_stop_asks_no_further_leader() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let store = Arc::new(Store::open(&dir.path().join("store"), 1 << 20).unwrap());
    let follower = follower(broker.kafka(""), store, sync_channel(1).0);
    let all = [("toys.events", 0), ("toys.events", 1)];
    assert!(follower.held(&all).unwrap().iter().all(Result::is_ok));
    follower.stopping.request();
    assert_eq!(follower.held(&all).unwrap_err(), LogError::GivenUp.into());
}

#[test]
fn a_partition_that_is_back_is_noticed_although_the_others_always_have_something() {
    let dir = TempDir::new().unwrap();
    let store = Arc::new(Store::open(&dir.path().join("store"), 1 << 20).unwrap());
    let (committer, work) = sync_channel(1);
    let written = thread::spawn(move || {
        let works = work.into_iter().filter_map(|work| match work {
            Work::Follow { writes, done, .. } => Some((writes, done.send(()))),
            _ => None,
        });
        works.count()
    });
    let (mut quarantine, _) = Quarantine::try_again(&store, &[]).unwrap();
    let follower = follower(nobody(), store, committer);
    let sources = [source(0, None), source(1, Some("it has no leader"))];
    let mut hand_over = || {
        let mut batch = Batch { records: 1, touched: vec![0], ..Batch::default() };
        follower.hand_over(&sources, &mut quarantine, &mut batch)
    };
    let answered: Held = Ok(Watermarks { low: 0, high: 0 });
    let away: Held = Err(TopicError::Missing { topic: "toys".to_owned() });
    let answers =
        |held| follower.positions.set_answers(sources.iter().map(FollowedPartition::place).zip(held));
    answers([&answered, &away]);
    assert!(hand_over().is_ok());
    answers([&answered, &answered]);
    assert!(matches!(hand_over(), Err(FollowError::Returned)));
    drop(follower);
    assert_eq!(written.join().unwrap(), 2, "what was read is written all the same");
}
