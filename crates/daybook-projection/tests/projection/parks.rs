//! A record that cannot be opened or folded parks its key, and nothing else.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use daybook_projection::quarantine::{PARKED_EVENTS_PER_KEY_MAX, SkippedEvent, leave_out};
use daybook_projection::{Generation, StopReason};
use uuid::Uuid;

use crate::broken::{broken_transcript, outcome_of, parked};
use crate::broker::{Broker, until, until_events};
use crate::domain::{self, departed, joined, launched, paid_back, paid_in};
use crate::follow::follow;
use crate::log::{Log, Record, apply, engine, event_id, fresh, open, project, source_of};
use crate::rebuilds::{options, rebuild};
use crate::views::{self, OwnerRow};

const OWNER: Uuid = Uuid::from_u128(0x77);
/// In the same partition.
const NEIGHBOUR: Uuid = Uuid::from_u128(0x79);

/// Writes an event of a type that is not known, at the next position.
pub(crate) fn write_unknown(log: &mut Log, owner: Uuid) -> Record {
    let record = log.write(&joined(owner));
    let text = String::from_utf8(record.value).unwrap().replace("joined", "renamed");
    let last = log.records.last_mut().unwrap();
    last.value = text.into_bytes();
    last.clone()
}

/// Writes bytes that tell nothing, where the next position belongs.
pub(crate) fn write_nonsense(log: &mut Log, owner: Uuid) -> Record {
    log.write(&joined(owner));
    let last = log.records.last_mut().unwrap();
    last.value = format!("nonsense at offset {}", last.offset).into_bytes();
    last.clone()
}

fn owner(generation: &Generation, owner: Uuid) -> Option<OwnerRow> {
    views::owner(generation, owner)
}

fn projected(log: &Log) -> (tempfile::TempDir, Generation) {
    let directory = tempfile::tempdir().unwrap();
    let generation = fresh(&directory.path().join("gen"));
    project(&generation, &log.records);
    (directory, generation)
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

#[test]
fn an_event_that_cannot_be_opened_parks_its_key_and_no_other() {
    assert_eq!(source_of(&joined(OWNER)), source_of(&joined(NEIGHBOUR)));
    let mut log = Log::default();
    log.write(&joined(OWNER));
    log.write(&joined(NEIGHBOUR));
    let broken = write_unknown(&mut log, OWNER);
    log.write(&departed(OWNER));
    log.write(&departed(NEIGHBOUR));
    log.write(&paid_in(Uuid::from_u128(1), OWNER, Uuid::from_u128(2), 1));
    let (directory, generation) = projected(&log);
    assert_eq!(owner(&generation, OWNER), Some(OwnerRow::Active));
    assert_eq!(owner(&generation, NEIGHBOUR), Some(OwnerRow::Departed));
    // What another topic says of the key goes on: no row is folded from two partitions.
    assert_eq!(views::deposits(&generation, OWNER).len(), 1);
    assert_eq!(generation.checkpoint().events(), 6);
    let [key] = &parked(&generation)[..] else { panic!("{:?}", parked(&generation)) };
    assert_eq!((key.key.as_str(), key.topic.as_str()), (OWNER.to_string().as_str(), "owners.events"));
    assert_eq!((key.since_position, key.waiting), (2, 2));
    assert_eq!(key.event_id, Some(event_id(broken.source, 2)));
    assert!(key.reason.contains("bank.owner.renamed.v1"), "{}", key.reason);

    // Opened again, it goes on waiting.
    let before = parked(&generation);
    drop(generation);
    let generation = open(&directory.path().join("gen"));
    assert_eq!(parked(&generation), before);
    log.write(&joined(OWNER));
    project(&generation, &log.records);
    assert_eq!(parked(&generation)[0].waiting, 3);
}

#[test]
fn data_that_does_not_fit_parks_its_key() {
    let mut log = Log::default();
    log.write(&joined(OWNER));
    let last = log.records.last_mut().unwrap();
    let last_source = last.source;
    let text = String::from_utf8(last.value.clone()).unwrap();
    last.value = text.replace("\"email\"", "\"e-mail\"").into_bytes();
    let (_directory, generation) = projected(&log);
    let parked = parked(&generation);
    assert!(parked[0].reason.contains("email"), "{parked:?}");
    // Its envelope tells where it belongs, so nothing else has to follow.
    assert_eq!((parked[0].event_id, generation.checkpoint().events()), (Some(event_id(last_source, 0)), 1));
    assert_eq!(owner(&generation, OWNER), None);
}

#[test]
fn beyond_the_bound_on_one_key_it_stops_with_the_remedy() {
    let mut log = Log::default();
    write_unknown(&mut log, OWNER);
    for _ in 0..PARKED_EVENTS_PER_KEY_MAX {
        log.write(&joined(OWNER));
    }
    let (reason, _directory, generation) = stopped(&log);
    assert_eq!(reason.slug(), "quarantine-full");
    let sentence = reason.to_string();
    let place = format!("offset {PARKED_EVENTS_PER_KEY_MAX}, event ");
    let remedy = format!("projector --release {OWNER}");
    assert!(sentence.contains(&place) && sentence.contains(&remedy), "{sentence}");
    assert_eq!(parked(&generation)[0].waiting, PARKED_EVENTS_PER_KEY_MAX);
    assert_eq!(generation.checkpoint().events(), PARKED_EVENTS_PER_KEY_MAX);
}

#[test]
fn resumed_at_every_prefix_the_rows_and_what_waits_are_the_same() {
    const EVENTS: usize = 150;
    let log = broken_transcript(EVENTS, 71);
    let expected = outcome_of(&log.records);
    assert!(expected.1.len() >= 3, "{:?}", expected.1);
    let directory = tempfile::tempdir().unwrap();
    for stop_after in 0..=log.records.len() {
        let path = directory.path().join(stop_after.to_string());
        project(&fresh(&path), &log.records[..stop_after]);
        let generation = open(&path);
        project(&generation, &log.records);
        assert_eq!((generation.digest(), parked(&generation)), expected, "stopped after {stop_after}");
    }
}

#[test]
fn an_event_that_cannot_be_folded_parks_its_key_while_others_are_followed() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gen");
    let fund = Uuid::from_u128(0x99);
    let mut log = Log::default();
    log.write(&launched(fund, "gold", None));
    log.write(&paid_in(Uuid::from_u128(1), OWNER, fund, 2));
    log.write(&paid_back(Uuid::from_u128(2), OWNER, fund));
    log.write(&paid_in(Uuid::from_u128(3), OWNER, fund, 2));
    log.write(&paid_in(Uuid::from_u128(4), NEIGHBOUR, fund, 2));
    broker.write(&log.records);
    for run in 0..2 {
        let generation = Arc::new(if run > 0 { open(&path) } else { fresh(&path) });
        let follower = follow(&broker, &generation);
        until_events(&generation, 5);
        let progress = until("it is told", || {
            Some(follower.progress().borrow().clone()).filter(|told| told.checkpoint.events() == 5)
        });
        assert_eq!(progress.counts.applied, if run == 0 { 3 } else { 0 }, "counted once");
        follower.stop().unwrap();
        assert_eq!(views::deposits(&generation, OWNER).len(), 1);
        assert_eq!(views::deposits(&generation, NEIGHBOUR).len(), 1);
        let parked = parked(&generation);
        assert_eq!((parked.len(), parked[0].since_position, parked[0].waiting), (1, 1, 2));
        assert!(parked[0].reason.contains("was never paid in"), "{parked:?}");
    }
}

/// sled puts what is too large into files of its own, which it does not sync: a power cut may take them.
#[test]
fn large_records_that_wait_make_no_file_of_their_own() {
    let mut log = Log::default();
    for number in 0..60_u128 {
        write_large(&mut log, Uuid::from_u128(0x1_000 + number % 20));
    }
    let blobs = |path: &Path| fs::read_dir(path.join("rows/blobs")).map_or(0, Iterator::count);
    let (directory, generation) = projected(&log);
    let path = directory.path().join("gen");
    let (expected, placed) = (parked(&generation), named_first(&generation));
    assert_eq!(expected.iter().map(|key| key.waiting).sum::<u64>(), 60);
    generation.flush().unwrap();
    assert_eq!(blobs(&path), 0);
    drop(generation);
    let generation = open(&path);
    assert_eq!(parked(&generation), expected);
    // What waits behind the one that is left out is written again.
    let left_out = leave_out(&generation, domain::projection(), vec![placed]).unwrap();
    assert_eq!((left_out.left_out, left_out.waiting), (1, 2));
    drop(generation);
    let generation = open(&path);
    assert_eq!(parked(&generation).iter().map(|key| key.waiting).sum::<u64>(), 59);
    assert_eq!(blobs(&path), 0);

    let broker = Broker::start();
    broker.write(&log.records);
    let read_model = tempfile::tempdir().unwrap();
    let report = rebuild(&broker, read_model.path(), &options()).unwrap();
    assert_eq!(blobs(&report.path), 0);
    assert_eq!(parked(&open(&report.path)), expected);
}

/// Writes an event of a type that is not known, of 60 KB.
fn write_large(log: &mut Log, fund: Uuid) {
    log.write(&launched(fund, &"large ".repeat(10_000), None));
    let last = log.records.last_mut().unwrap();
    let text = String::from_utf8(last.value.clone()).unwrap().replace("fund.launched", "fund.renamed");
    last.value = text.into_bytes();
}

fn named_first(generation: &Generation) -> SkippedEvent {
    let key = &parked(generation)[0];
    let name = format!("{}/{}@{}", key.topic, key.partition, key.since_position).parse().unwrap();
    generation.quarantine().find(&name, "a test", "now").unwrap()
}
