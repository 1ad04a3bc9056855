//! Events of another log, which go on at the offsets and positions where this one was left: none of them is applied.

use daybook_event::Event as _;
use daybook_event::envelope::as_sent;
use daybook_projection::{Generation, ReplayOptions, StopReason};
use uuid::Uuid;

use crate::broker::Broker;
use crate::domain::{BankEvent, joined};
use crate::log::{Log, PARTITIONS, Record, apply, engine, event_id, fresh, open, sealed, source_of};
use crate::rebuilds::{options, rebuild};

const THIS: Uuid = Uuid::from_u128(0x7415);
const OTHER: Uuid = Uuid::from_u128(0x07E8);

/// An event of a partition's first or next position, which names the one before it in a log.
fn linked(log: &mut Log, event: &BankEvent, position: u64, previous: Uuid) -> Record {
    let source = source_of(event);
    let value = as_sent(&sealed(event, source, position), 1, Some(previous)).unwrap();
    log.write_value(source, event.key(), value)
}

/// An owner whose events lie in this partition.
fn owner_in(partition: i32, seed: u128) -> BankEvent {
    let owners = (seed..).map(|number| joined(Uuid::from_u128(number)));
    let first = source_of(&joined(Uuid::from_u128(seed))) as i32 / PARTITIONS * PARTITIONS;
    owners.into_iter().find(|owner| source_of(owner) as i32 == first + partition).unwrap()
}

fn stopped(generation: &Generation, record: &Record) -> StopReason {
    let mut engine = engine(generation);
    let reason = apply(&mut engine, generation, record).unwrap_err();
    assert_eq!(reason.slug(), "other-log", "{reason}");
    reason
}

#[test]
fn an_event_that_names_another_one_before_it_stops_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (path, owner) = (directory.path().join("gen"), owner_in(0, 1));
    let source = source_of(&owner);
    let mut log = Log::default();
    let first = linked(&mut log, &owner, 0, THIS);
    let second = linked(&mut log, &owner, 1, event_id(source, 0));
    let strangers = linked(&mut log, &owner, 2, Uuid::from_u128(9));
    let generation = fresh(&path);
    let mut engine = engine(&generation);
    for record in [&first, &second] {
        apply(&mut engine, &generation, record).unwrap();
    }
    engine.commit(&generation).unwrap();
    let said = stopped(&generation, &strangers).to_string();
    for part in ["another log", "position 2", "recreated", &event_id(source, 1).to_string()] {
        assert!(said.contains(part), "{part} in {said}");
    }
    drop(generation);
    let generation = open(&path);
    stopped(&generation, &strangers);
    assert_eq!(generation.checkpoint().events(), 2);
}

#[test]
fn the_first_event_of_a_partition_is_of_the_log_that_the_topics_others_are_of() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gen");
    let (here, there) = (owner_in(0, 1), owner_in(1, 1));
    let mut log = Log::default();
    let first = linked(&mut log, &here, 0, THIS);
    let generation = fresh(&path);
    let mut engine = engine(&generation);
    apply(&mut engine, &generation, &first).unwrap();
    let strangers = Record { offset: 0, ..linked(&mut log.clone(), &there, 0, OTHER) };
    let reason = apply(&mut engine, &generation, &strangers).unwrap_err();
    assert_eq!(reason.slug(), "other-log", "known at once: {reason}");
    engine.commit(&generation).unwrap();
    drop((engine, generation));
    let generation = open(&path);
    stopped(&generation, &strangers);
    let own = linked(&mut log, &there, 0, THIS);
    apply(&mut crate::log::engine(&generation), &generation, &own).unwrap();
}

/// Whoever cannot say which event it is has the name that the next one gives it.
#[test]
fn an_event_behind_one_that_cannot_be_opened_is_of_the_same_log() {
    let directory = tempfile::tempdir().unwrap();
    let generation = fresh(&directory.path().join("gen"));
    let owner = owner_in(0, 1);
    let source = source_of(&owner);
    let mut log = Log::default();
    let first = linked(&mut log, &owner, 0, THIS);
    let garbled = log.write_value(source, owner.key(), b"?".to_vec());
    let third = linked(&mut log, &owner, 2, event_id(source, 1));
    let fourth = linked(&mut log, &owner, 3, event_id(source, 2));
    let strangers = linked(&mut log, &owner, 4, event_id(source, 2));
    let mut engine = engine(&generation);
    for record in [&first, &garbled, &third, &fourth] {
        apply(&mut engine, &generation, record).unwrap();
    }
    assert_eq!(apply(&mut engine, &generation, &strangers).unwrap_err().slug(), "other-log");
}

/// Threads read partitions by themselves.
#[test]
fn a_build_of_two_logs_is_none() {
    let broker = Broker::start();
    let mut log = Log::default();
    linked(&mut log, &owner_in(0, 1), 0, THIS);
    linked(&mut log, &owner_in(1, 1), 0, OTHER);
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let failed = rebuild(&broker, directory.path(), &ReplayOptions { threads: 2, ..options() }).unwrap_err();
    assert!(failed.to_string().contains("another log"), "{failed}");
}
