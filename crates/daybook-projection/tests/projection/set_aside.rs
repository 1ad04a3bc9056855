//! A record that is no event of its topic's service is set aside, and stops nothing. Positions tell whether it was one after all.

use std::sync::Arc;

use daybook_projection::quarantine::release;
use daybook_projection::{Generation, SourceCheckpoint, StopReason};
use uuid::Uuid;

use crate::broken::parked;
use crate::broker::{Broker, until, until_events};
use crate::domain::{self, BankEvent, departed, joined};
use crate::follow::{follow, until_stopped};
use crate::log::{
    Log, Record, SourceIndex, apply, digest_of, engine, fresh, open, project, sealed, sealed_as, source_of,
    topic_and_partition,
};
use crate::parks::write_nonsense;
use crate::rebuilds::{options, rebuild};
use crate::views::{self, OwnerRow};

const OWNER: Uuid = Uuid::from_u128(0x77);
/// In the same partition.
const NEIGHBOUR: Uuid = Uuid::from_u128(0x79);
/// More than a follower keeps of one partition to fill a gap with.
const MANY: usize = 40;
const NOISE_BYTES: usize = 5 << 20;

fn owner(generation: &Generation, owner: Uuid) -> Option<OwnerRow> {
    views::owner(generation, owner)
}

fn at(generation: &Generation, source: SourceIndex) -> SourceCheckpoint {
    let (topic, partition) = topic_and_partition(source);
    *generation.checkpoint().get(&topic, partition).unwrap()
}

/// Reads up to where it stops, and commits what came before.
fn stopped(log: &Log) -> (StopReason, tempfile::TempDir, Generation) {
    let directory = tempfile::tempdir().unwrap();
    let generation = fresh(&directory.path().join("gen"));
    let mut engine = engine(&generation);
    let reason = log.records.iter().find_map(|record| apply(&mut engine, &generation, record).err());
    engine.commit(&generation).unwrap();
    (reason.unwrap(), directory, generation)
}

/// A value that the owners' service never wrote at this place, one of each kind.
fn noise() -> Vec<Vec<u8>> {
    let event = joined(OWNER);
    let source = source_of(&event);
    let (_, partition) = topic_and_partition(source);
    let foreign = |service: &'static str, partition| {
        let source = daybook_event::envelope::Source { service: service.into(), partition };
        sealed_as(&event, &source, 1_000, Uuid::from_u128(5))
    };
    let claim = br#"{"specversion":"1.0","type":"daybook.writer.claimed.v1","source":"/owners/0"}"#;
    vec![
        b"hello".to_vec(),
        Vec::new(),
        vec![0xff; 100],
        br#"{"specversion":"1.0","id":"7"}"#.to_vec(),
        foreign("funds", partition),
        foreign("owners", partition + 1),
        claim.to_vec(),
        vec![b'x'; NOISE_BYTES],
    ]
}

/// Good events with noise before, between and behind them; what a program without a key wrote, and one with one.
fn with_noise(has_keys: bool) -> Log {
    let mut log = Log::default();
    let source = source_of(&joined(OWNER));
    for (number, value) in noise().into_iter().enumerate() {
        log.write_value(source, OWNER, value);
        if !has_keys {
            log.records.last_mut().unwrap().key = Vec::new();
        }
        log.write(&if number % 2 == 0 { joined(NEIGHBOUR) } else { departed(NEIGHBOUR) });
    }
    log
}

#[test]
fn whatever_is_no_event_of_the_service_is_set_aside_and_everything_goes_on() {
    for has_keys in [true, false] {
        let log = with_noise(has_keys);
        let (source, events) = (source_of(&joined(OWNER)), noise().len() as u64);
        let directory = tempfile::tempdir().unwrap();
        let generation = fresh(&directory.path().join("gen"));
        project(&generation, &log.records);
        assert_eq!(owner(&generation, NEIGHBOUR), Some(OwnerRow::Departed));
        assert!(parked(&generation).is_empty(), "{:?}", parked(&generation));
        let reached = at(&generation, source);
        assert_eq!((reached.next_position, reached.set_aside.records), (events, events));
        assert_eq!((reached.set_aside.first_offset, reached.set_aside.last_offset), (0, 14));
        assert!(!reached.is_end_unproven(), "an event came behind");
        let good = log.records.iter().filter(|record| record.offset % 2 == 1).cloned().collect::<Vec<_>>();
        assert_eq!(generation.digest(), digest_of(&good));
    }
}

#[test]
fn until_the_next_event_the_end_is_unproven_and_what_is_read_again_counts_once() {
    let mut log = Log::default();
    log.write(&joined(NEIGHBOUR));
    let source = write_nonsense(&mut log, OWNER).source;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gen");
    project(&fresh(&path), &log.records);
    for _ in 0..2 {
        let generation = open(&path);
        project(&generation, &log.records);
        let reached = at(&generation, source);
        assert_eq!((reached.next_position, reached.next_offset, reached.set_aside.records), (1, 2, 1));
        assert!(reached.is_end_unproven() && parked(&generation).is_empty());
        let refused = release(&generation, domain::projection(), &OWNER.to_string()).unwrap_err();
        assert!(refused.to_string().contains("no events of key"), "{refused}");
    }
    log.write(&departed(NEIGHBOUR));
    let generation = open(&path);
    project(&generation, &log.records);
    assert!(!at(&generation, source).is_end_unproven());
    assert_eq!((at(&generation, source).next_position, parked(&generation)[0].since_position), (3, 1));
}

#[test]
fn as_many_with_keys_as_positions_are_missing_have_these_and_park_their_keys() {
    let mut log = Log::default();
    log.write(&joined(NEIGHBOUR));
    write_nonsense(&mut log, OWNER);
    write_nonsense(&mut log, OWNER);
    // A relay that lost its connection repeats what came before.
    log.repeat(0);
    log.repeat(1);
    // What has no key can be none of them.
    log.write_value(source_of(&joined(OWNER)), OWNER, b"no key".to_vec());
    log.records.last_mut().unwrap().key = Vec::new();
    let directory = tempfile::tempdir().unwrap();
    let generation = fresh(&directory.path().join("gen"));
    project(&generation, &log.records);
    assert_eq!(generation.checkpoint().events(), 1);

    log.write(&departed(NEIGHBOUR));
    log.write(&joined(OWNER));
    project(&generation, &log.records);
    log.repeat(2);
    log.repeat(6);
    log.write(&joined(NEIGHBOUR));
    project(&generation, &log.records);
    assert_eq!(generation.checkpoint().events(), 6);
    assert_eq!(owner(&generation, NEIGHBOUR), Some(OwnerRow::Departed));
    let parked = parked(&generation);
    assert_eq!((parked.len(), parked[0].since_position, parked[0].event_id), (1, 1, None));
    assert_eq!(parked[0].waiting, 3);
    assert!(parked[0].reason.contains("not an event in JSON"), "{parked:?}");
}

#[test]
fn a_repetition_of_what_has_a_position_fills_no_later_gap() {
    let mut log = Log::default();
    write_nonsense(&mut log, OWNER);
    log.write(&joined(NEIGHBOUR));
    log.repeat(0);
    let source = source_of(&joined(OWNER));
    log.write_value(source, OWNER, sealed(&joined(OWNER), source, 3));
    let (reason, directory, generation) = stopped(&log);
    assert_eq!((reason.slug(), generation.checkpoint().events()), ("gap", 2));
    drop(generation);
    let generation = open(&directory.path().join("gen"));
    let mut engine = engine(&generation);
    let again = log.records[2..].iter().find_map(|record| apply(&mut engine, &generation, record).err());
    assert_eq!(again.unwrap().slug(), "gap", "after a restart as well");
}

#[test]
fn where_they_are_not_as_many_the_gap_stops_by_name() {
    let source = source_of(&joined(OWNER));
    for (keyed, missing, said) in
        [(1, 2, "1 record(s) with a key"), (2, 1, "2 record(s) with a key"), (0, 1, "")]
    {
        let mut log = Log::default();
        for number in 0..keyed {
            log.write_value(source, OWNER, format!("nonsense {number}").into_bytes());
        }
        log.write_value(source, OWNER, b"no key".to_vec());
        log.records.last_mut().unwrap().key = Vec::new();
        log.write_value(source, OWNER, sealed(&joined(OWNER), source, missing));
        let (reason, _directory, generation) = stopped(&log);
        assert_eq!(reason.slug(), "gap");
        assert!(reason.to_string().contains(said), "{reason}");
        assert_eq!(generation.checkpoint().events(), 0, "which position they have is not known");
        assert!(parked(&generation).is_empty());
    }
}

#[test]
fn a_gap_of_more_than_are_kept_stops_although_as_many_were_set_aside() {
    let source = source_of(&joined(OWNER));
    let mut log = Log::default();
    for number in 0..MANY {
        log.write_value(source, OWNER, format!("nonsense {number}").into_bytes());
    }
    log.write_value(source, OWNER, sealed(&joined(OWNER), source, MANY as u64));
    let (reason, _directory, _generation) = stopped(&log);
    assert_eq!(reason.slug(), "gap");
    assert!(reason.to_string().contains(&format!("{MANY} record(s) with a key")), "{reason}");
}

#[test]
fn what_takes_a_position_and_is_too_large_to_wait_stops_by_name() {
    let source = source_of(&joined(OWNER));
    let mut log = Log::default();
    log.write_value(source, OWNER, vec![b'x'; NOISE_BYTES]);
    log.write_value(source, OWNER, sealed(&joined(OWNER), source, 1));
    let (reason, _directory, generation) = stopped(&log);
    assert_eq!((reason.slug(), reason.at().unwrap().offset), ("unreadable-event", 0));
    assert!(parked(&generation).is_empty());
}

#[test]
fn a_follower_and_a_replay_set_the_same_aside() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    let generation = Arc::new(fresh(&directory.path().join("gen")));
    // A broker of some megabytes.
    let mut log = with_noise(true);
    log.records.retain(|record| record.value.len() < NOISE_BYTES);
    renumber(&mut log);
    write_nonsense(&mut log, OWNER);
    let (source, end) = (log.records[0].source, log.records.len() as i64);
    broker.write(&log.records);
    let follower = follow(&broker, &generation);
    until("all is read", || (at(&generation, source).next_offset == end).then_some(()));
    assert!(at(&generation, source).is_end_unproven());
    follower.stop().unwrap();
    let read_model = tempfile::tempdir().unwrap();
    let report = rebuild(&broker, read_model.path(), &options()).unwrap();
    assert_eq!(report.checkpoint.set_aside(), noise().len() as u64);
    assert_eq!((report.digest, &*report.checkpoint), (generation.digest(), &*generation.checkpoint()));
}

fn renumber(log: &mut Log) {
    (0..).zip(&mut log.records).for_each(|(offset, record): (i64, &mut Record)| record.offset = offset);
}

#[test]
fn a_gap_that_nothing_fills_stops_the_follower() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    let generation = Arc::new(fresh(&directory.path().join("gen")));
    let mut log = Log::default();
    let event: BankEvent = joined(OWNER);
    log.write(&event);
    write_nonsense(&mut log, OWNER);
    let source = source_of(&event);
    log.write_value(source, OWNER, sealed(&event, source, 7));
    broker.write(&log.records);
    let follower = follow(&broker, &generation);
    assert_eq!(until_stopped(&follower).slug(), "gap");
    follower.stop().unwrap();
    until_events(&generation, 1);
}
