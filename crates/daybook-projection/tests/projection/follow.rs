//! The follower on a broker: catches up, follows, stops with a sentence, goes on after a restart.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_projection::{Follower, Generation, Progress, State, StopReason};
use uuid::Uuid;

use crate::broker::{Broker, until, until_events};
use crate::domain::{self, joined, launched, paid_in};
use crate::log::{
    Log, Record, SourceIndex, digest_of, fresh, open, project, sealed, source_of, topic_and_partition, zero,
};
use crate::resume::events;
use crate::transcript::{more_than_the_embedded_broker_keeps, transcript};
use crate::views::{self, OwnerRow};

const OWNER: Uuid = Uuid::from_u128(0x77);

pub(crate) fn follow(broker: &Broker, generation: &Arc<Generation>) -> Follower {
    Follower::start(&broker.kafka, generation.clone(), domain::projection()).unwrap()
}

fn progress(follower: &Follower) -> Arc<Progress> {
    follower.progress().borrow().clone()
}

pub(crate) fn until_following(follower: &Follower) {
    until("the follower follows", || matches!(progress(follower).state, State::Following).then_some(()));
}

pub(crate) fn until_stopped(follower: &Follower) -> Arc<StopReason> {
    until("the follower has stopped", || match &progress(follower).state {
        State::Stopped(reason) => Some(reason.clone()),
        State::Building | State::Following => None,
    })
}

/// All states of a follower from now on, until it is dropped.
fn states_of(follower: &Follower) -> std::thread::JoinHandle<Vec<String>> {
    let mut progress = follower.progress();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut states = Vec::new();
        loop {
            let state = match &progress.borrow_and_update().state {
                State::Stopped(reason) => reason.slug().to_owned(),
                other => format!("{other:?}"),
            };
            if states.last() != Some(&state) {
                states.push(state);
            }
            if runtime.block_on(progress.changed()).is_err() {
                return states;
            }
        }
    })
}

#[test]
fn what_may_not_be_read_for_a_while_is_followed_later() {
    let broker = Broker::start();
    let log = transcript(400, 21);
    let directory = tempfile::tempdir().unwrap();
    let generation = Arc::new(fresh(&directory.path().join("gen")));
    broker.write(&log.records[..200]);
    let follower = follow(&broker, &generation);
    until_following(&follower);
    let states = states_of(&follower);
    broker.deny_reads(3);
    assert!(until_stopped(&follower).may_pass());
    broker.write(&log.records[200..]);
    until_events(&generation, events(&log.records));
    until_following(&follower);
    follower.stop().unwrap();
    assert_eq!(generation.digest(), digest_of(&log.records));
    assert_eq!(states.join().unwrap(), ["Following", "log-unreadable", "Following"]);
}

/// An event of each partition that comes after those of a log, but for those of one partition.
fn one_more_of_each(log: &mut Log, but_for: SourceIndex) -> Vec<Record> {
    let before = log.records.len();
    for source in (0..zero().sources().len()).filter(|source| *source != but_for) {
        let ids = (1_000..).map(Uuid::from_u128);
        let event = |id| match source / 2 {
            0 => paid_in(id, id, OWNER, 1),
            1 => launched(id, "later", None),
            _ => joined(id),
        };
        let event = ids.into_iter().map(event).find(|event| source_of(event) == source).unwrap();
        log.write(&event);
    }
    log.records[before..].to_vec()
}

fn events_but_for(records: &[Record], source: SourceIndex) -> u64 {
    events(&records.iter().filter(|record| record.source != source).cloned().collect::<Vec<_>>())
}

fn is_named(progress: &Progress, away: SourceIndex) -> bool {
    let (topic, partition) = topic_and_partition(away);
    let named = progress.away.iter().all(|(id, why)| {
        (&*id.topic, id.partition) == (&*topic, partition)
            && why.to_string().contains(&format!("{topic} partition {partition}"))
    });
    named && progress.away.len() == 1
}

#[test]
fn a_partition_that_has_no_leader_at_the_start_stops_no_other() {
    let broker = Broker::start_two();
    let mut log = transcript(400, 21);
    broker.write(&log.records);
    let away = source_of(&joined(OWNER));
    broker.set_leader(away, None);
    let directory = tempfile::tempdir().unwrap();
    let generation = Arc::new(fresh(&directory.path().join("gen")));
    let follower = follow(&broker, &generation);
    let states = states_of(&follower);
    until_events(&generation, events_but_for(&log.records, away));
    broker.write(&one_more_of_each(&mut log, away));
    until_events(&generation, events_but_for(&log.records, away));
    let lags = |progress: &Progress| progress.partitions().map(|at| at.lag).collect::<Vec<_>>();
    let expected: Vec<_> = (0..6).map(|source| (source != away).then_some(0)).collect();
    until("the lag of the others is known", || (lags(&progress(&follower)) == expected).then_some(()));
    until("all is read that can be", || (progress(&follower).left == Some(0)).then_some(()));
    assert!(is_named(&progress(&follower), away), "{:?}", progress(&follower).away);
    assert!(matches!(progress(&follower).state, State::Building), "something is missing");

    broker.set_leader(away, Some(1));
    until_events(&generation, events(&log.records));
    until_following(&follower);
    assert!(progress(&follower).away.is_empty());
    follower.stop().unwrap();
    assert_eq!(generation.digest(), digest_of(&log.records));
    assert_eq!(states.join().unwrap(), ["Building", "Following"]);
}

#[test]
fn a_leader_that_goes_away_stops_no_other_partition() {
    let broker = Broker::start_two();
    let mut log = transcript(400, 21);
    broker.write(&log.records);
    let away = source_of(&joined(OWNER));
    broker.set_leader(away, Some(2));
    let directory = tempfile::tempdir().unwrap();
    let generation = Arc::new(fresh(&directory.path().join("gen")));
    let follower = follow(&broker, &generation);
    until_following(&follower);
    let states = states_of(&follower);
    broker.down(2);
    until("it is told", || is_named(&progress(&follower), away).then_some(()));
    broker.write(&one_more_of_each(&mut log, away));
    until_events(&generation, events(&log.records));
    broker.up(2);
    until("it is back", || progress(&follower).away.is_empty().then_some(()));
    broker.write(&[log.write(&joined(OWNER))]);
    until_events(&generation, events(&log.records));
    follower.stop().unwrap();
    assert_eq!(states.join().unwrap(), ["Following"]);
}

/// As an end that was known says nothing once nobody has answered for a while.
#[test]
fn while_no_broker_answers_all_partitions_are_away_and_no_lag_is_known() {
    let broker = Broker::start();
    let mut log = transcript(100, 21);
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let generation = Arc::new(fresh(&directory.path().join("gen")));
    let follower = follow(&broker, &generation);
    until_following(&follower);
    until("the lag is known", || (progress(&follower).lag_total() == Some(0)).then_some(()));
    broker.down(1);
    until("all are away", || (progress(&follower).away.len() == 6).then_some(()));
    let told = progress(&follower);
    assert!(told.partitions().all(|at| at.end_offset.is_none() && at.lag.is_none()), "{told:?}");
    assert_eq!(told.lag_total(), None);
    broker.up(1);
    until("the log is back", || progress(&follower).away.is_empty().then_some(()));
    broker.write(&[log.write(&joined(OWNER))]);
    until_events(&generation, events(&log.records));
    until("the lag is known again", || (progress(&follower).lag_total() == Some(0)).then_some(()));
    follower.stop().unwrap();
}

/// What nobody answers for is not taken for empty, and not for what it was.
#[test]
fn a_partition_that_comes_back_without_its_end_is_noticed_before_it_is_read() {
    let broker = Broker::start_two();
    let mut log = transcript(400, 21);
    let directory = tempfile::tempdir().unwrap();
    let generation = Arc::new(fresh(&directory.path().join("gen")));
    let away = source_of(&joined(OWNER));
    project(&generation, &log.records);
    let others: Vec<_> = log.records.iter().filter(|record| record.source != away).cloned().collect();
    broker.write(&others);
    broker.set_leader(away, None);
    let follower = follow(&broker, &generation);
    let states = states_of(&follower);
    broker.write(&one_more_of_each(&mut log, away));
    until_events(&generation, events(&log.records));
    broker.set_leader(away, Some(1));
    assert_eq!(until_stopped(&follower).slug(), "log-went-back");
    let lost: Vec<_> = log.records.iter().filter(|record| record.source == away).cloned().collect();
    broker.write(&lost);
    until_following(&follower);
    follower.stop().unwrap();
    assert_eq!(generation.digest(), digest_of(&log.records));
    assert_eq!(states.join().unwrap(), ["Building", "log-went-back", "Following"]);
}

#[test]
fn while_nobody_answers_for_any_partition_nothing_is_read() {
    let broker = Broker::start_two();
    let log = transcript(100, 21);
    broker.write(&log.records);
    (0..6).for_each(|source| broker.set_leader(source, None));
    let directory = tempfile::tempdir().unwrap();
    let generation = Arc::new(fresh(&directory.path().join("gen")));
    let follower = follow(&broker, &generation);
    until("all are away", || (progress(&follower).away.len() == 6).then_some(()));
    assert!(matches!(progress(&follower).state, State::Building));
    assert_eq!(progress(&follower).left, None);
    (0..6).for_each(|source| broker.set_leader(source, Some(1)));
    until_events(&generation, events(&log.records));
    until_following(&follower);
    follower.stop().unwrap();
}

#[test]
fn it_catches_up_follows_and_goes_on_after_a_restart() {
    let broker = Broker::start();
    let log = transcript(600, 21);
    let expected = digest_of(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gen");
    let generation = Arc::new(fresh(&path));
    broker.write(&log.records[..200]);
    let follower = follow(&broker, &generation);
    until_following(&follower);
    assert_eq!(generation.checkpoint().events(), events(&log.records[..200]));
    broker.write(&log.records[200..400]);
    until_events(&generation, events(&log.records[..400]));
    follower.stop().unwrap();
    drop(generation);

    broker.write(&log.records[400..]);
    let generation = Arc::new(open(&path));
    assert_eq!(generation.checkpoint().events(), events(&log.records[..400]));
    let follower = follow(&broker, &generation);
    until_events(&generation, events(&log.records));
    until_following(&follower);
    follower.stop().unwrap();
    assert_eq!(generation.digest(), expected);
}

#[test]
fn progress_tells_lag_against_the_brokers_own_end_offsets() {
    let broker = Broker::start();
    let log = transcript(100, 22);
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let generation = Arc::new(fresh(&directory.path().join("gen")));
    let follower = follow(&broker, &generation);
    until("end offsets are known and nothing is left", || {
        (progress(&follower).lag_total() == Some(0)).then_some(())
    });
    let progress = progress(&follower);
    let ends: i64 = progress.partitions().map(|partition| partition.end_offset.unwrap()).sum();
    assert_eq!(ends, 100);
    assert_eq!(progress.counts.applied, events(&log.records));
    assert_eq!(progress.counts.applied + progress.counts.duplicates, 100);
    assert!(progress.counts.last_event_at.is_some());
    follower.stop().unwrap();
}

#[test]
fn it_waits_for_topics_that_do_not_exist_yet() {
    let broker = Broker::without_topics();
    let directory = tempfile::tempdir().unwrap();
    let generation = Arc::new(fresh(&directory.path().join("gen")));
    let follower = follow(&broker, &generation);
    broker.create_topics();
    let mut log = Log::default();
    log.write(&joined(OWNER));
    broker.write(&log.records);
    until_events(&generation, 1);
    follower.stop().unwrap();
}

#[test]
fn a_gap_stops_it_and_queries_go_on() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    let generation = Arc::new(fresh(&directory.path().join("gen")));
    let mut log = Log::default();
    log.write(&joined(OWNER));
    let source = source_of(&joined(OWNER));
    log.write_value(source, OWNER, sealed(&joined(OWNER), source, 7));
    broker.write(&log.records);
    let follower = follow(&broker, &generation);
    let reason = until_stopped(&follower);
    assert_eq!(reason.slug(), "gap");
    assert!(reason.to_string().contains("offset 1, event "), "{reason}");
    assert_eq!(generation.checkpoint().events(), 1);
    assert_eq!(views::owner(&generation, OWNER), Some(OwnerRow::Active));
    follower.stop().unwrap();
}

#[test]
fn a_log_that_went_back_stops_it() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    let generation = Arc::new(fresh(&directory.path().join("gen")));
    let mut log = Log::default();
    log.write(&joined(OWNER));
    // Projected from elsewhere: this broker has never had the record.
    project(&generation, &log.records);
    let follower = follow(&broker, &generation);
    let reason = until_stopped(&follower);
    assert_eq!(reason.slug(), "log-went-back");
    assert!(reason.to_string().contains("projector --replay"), "{reason}");
    follower.stop().unwrap();
}

/// The events are at their positions again, but at other offsets: what was repeated before is not now.
#[test]
fn it_goes_on_by_position_once_the_log_has_again_what_was_projected() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    let generation = Arc::new(fresh(&directory.path().join("gen")));
    let mut log = transcript(300, 23);
    project(&generation, &log.records);
    log.write(&joined(OWNER));
    let mut seen = HashSet::new();
    let once: Vec<_> = log.records.iter().filter(|record| seen.insert(&record.value)).cloned().collect();
    assert!(once.len() + 10 < log.records.len(), "the transcript repeats some records");
    let follower = follow(&broker, &generation);
    assert_eq!(until_stopped(&follower).slug(), "log-went-back");
    broker.write(&once);
    until_following(&follower);
    until_events(&generation, once.len() as u64);
    until("nothing is left", || (progress(&follower).lag_total() == Some(0)).then_some(()));
    let ends = progress(&follower).partitions().map(|at| at.checkpoint).sum::<i64>();
    follower.stop().unwrap();
    assert_eq!(ends, once.len() as i64, "offsets are those of the log as it is");
    assert_eq!(generation.digest(), digest_of(&once));
}

#[test]
fn another_number_of_partitions_stops_it() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    let start = daybook_projection::Checkpoint::zero(
        domain::projection().topics.iter().map(|topic| (topic.name, crate::log::PARTITIONS + 1)),
    );
    let generation = crate::log::fresh_of(&directory.path().join("gen"), domain::projection(), &start);
    let follower = follow(&broker, &Arc::new(generation));
    let reason = until_stopped(&follower);
    assert_eq!(reason.slug(), "partitions-changed");
    assert!(reason.to_string().contains("has 2 partitions, the read model was built from 3"), "{reason}");
    follower.stop().unwrap();
}

#[test]
fn a_front_that_was_deleted_before_it_was_projected_stops_it() {
    let broker = Broker::start();
    broker.write(&more_than_the_embedded_broker_keeps().records);
    let directory = tempfile::tempdir().unwrap();
    let follower = follow(&broker, &Arc::new(fresh(&directory.path().join("gen"))));
    let reason = until_stopped(&follower);
    assert_eq!(reason.slug(), "log-front-deleted");
    assert!(reason.to_string().contains("funds.events/"), "{reason}");
    follower.stop().unwrap();
}

#[test]
fn a_broker_that_is_away_does_not_stop_it() {
    let directory = tempfile::tempdir().unwrap();
    let generation = Arc::new(fresh(&directory.path().join("gen")));
    let broker = Broker::start();
    let nowhere = daybook_kafka::Kafka { brokers: "127.0.0.1:1".to_owned(), ..broker.kafka.clone() };
    let follower = Follower::start(&nowhere, generation.clone(), domain::projection()).unwrap();
    // Longer than the first attempt takes: it must not have given up by then.
    let tried = Instant::now() + Duration::from_millis(1_500);
    until("some attempts have failed", || {
        assert!(matches!(progress(&follower).state, State::Building));
        (Instant::now() >= tried).then_some(())
    });
    assert_eq!(progress(&follower).lag_total(), None);
    follower.stop().unwrap();
}
