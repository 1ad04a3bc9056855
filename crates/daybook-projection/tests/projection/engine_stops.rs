//! What stops a projection, each with its sentence, and what is kept of the records before.

use daybook_event::envelope::Source;
use daybook_projection::{Generation, StopReason};
use uuid::Uuid;

use crate::domain::{BankEvent, joined, launched, paid_back, paid_in};
use crate::log::{
    Log, Record, apply, engine, event_id, fresh, sealed, sealed_as, source_of, topic_and_partition,
};
use crate::views;

const OWNER: Uuid = Uuid::from_u128(0x77);

struct Stopped {
    reason: StopReason,
    sentence: String,
    events_before: u64,
}

/// Projects three good events and then `bad`.
fn stopped_by(bad: impl FnOnce(&mut Log) -> Record) -> Stopped {
    let directory = tempfile::tempdir().unwrap();
    let generation = fresh(&directory.path().join("gen"));
    let mut log = Log::default();
    (0..3).for_each(|_| drop(log.write(&joined(OWNER))));
    let mut engine = engine(&generation);
    for record in &log.records {
        apply(&mut engine, &generation, record).unwrap();
    }
    let bad = bad(&mut log);
    let reason = apply(&mut engine, &generation, &bad).unwrap_err();
    engine.commit(&generation).unwrap();
    assert_next_is(&generation, &bad);
    Stopped { sentence: reason.to_string(), reason, events_before: generation.checkpoint().events() }
}

/// After a stop the bad record is the next to be read: a restart meets it again.
fn assert_next_is(generation: &Generation, bad: &Record) {
    let (topic, partition) = topic_and_partition(bad.source);
    assert_eq!(generation.checkpoint().get(&topic, partition).unwrap().next_offset, bad.offset);
}

/// So that there is no key to be parked.
fn without_key(record: Record) -> Record {
    Record { key: Vec::new(), ..record }
}

fn place_of(record: &BankEvent) -> String {
    let (topic, partition) = topic_and_partition(source_of(record));
    format!("{topic}/{partition}")
}

#[test]
fn a_duplicate_is_skipped() {
    let directory = tempfile::tempdir().unwrap();
    let generation = fresh(&directory.path().join("gen"));
    let mut log = Log::default();
    log.write(&joined(OWNER));
    log.repeat(0);
    log.write(&joined(OWNER));
    let mut engine = engine(&generation);
    for record in &log.records {
        apply(&mut engine, &generation, record).unwrap();
    }
    assert_eq!((engine.counts().applied, engine.counts().duplicates), (2, 1));
    let checkpoint = engine.commit(&generation).unwrap();
    let (topic, partition) = topic_and_partition(log.records[0].source);
    let source = checkpoint.get(&topic, partition).unwrap();
    assert_eq!((source.next_offset, source.next_position), (3, 2));
}

#[test]
fn a_gap_stops() {
    let event = joined(OWNER);
    let stopped = stopped_by(|log| {
        let source = source_of(&event);
        log.write_value(source, OWNER, sealed(&event, source, 5))
    });
    assert_eq!((stopped.reason.slug(), stopped.events_before), ("gap", 3));
    let place = format!("{} offset 3, event {}", place_of(&event), event_id(source_of(&event), 5));
    assert!(stopped.sentence.starts_with(&place), "{}", stopped.sentence);
    assert!(stopped.sentence.contains("position 3 was expected, 5 was found"), "{}", stopped.sentence);
}

#[test]
fn a_fork_stops() {
    let event = joined(OWNER);
    let stopped = stopped_by(|log| {
        let source = source_of(&event);
        let (topic, partition) = topic_and_partition(source);
        let service = topic.trim_end_matches(".events").to_owned();
        let value = sealed_as(&event, &Source { service: service.into(), partition }, 1, Uuid::from_u128(99));
        log.write_value(source, OWNER, value)
    });
    assert_eq!((stopped.reason.slug(), stopped.events_before), ("fork", 3));
    assert!(stopped.sentence.contains("two writers"), "{}", stopped.sentence);
}

#[test]
fn an_unknown_event_without_a_key_stops() {
    for (found, slug_text) in
        [("bank.owner.renamed.v1", "is unknown"), ("bank.owner.joined.v9", "is of a future version")]
    {
        let event = joined(OWNER);
        let stopped = stopped_by(|log| {
            let source = source_of(&event);
            let value = String::from_utf8(sealed(&event, source, 3)).unwrap();
            let value = value.replace("bank.owner.joined.v1", found);
            without_key(log.write_value(source, OWNER, value.into_bytes()))
        });
        assert_eq!((stopped.reason.slug(), stopped.events_before), ("unknown-event", 3));
        assert!(stopped.sentence.contains(found), "{}", stopped.sentence);
        assert!(stopped.sentence.contains(slug_text), "{}", stopped.sentence);
        assert!(stopped.sentence.contains("Start a version of this program"), "{}", stopped.sentence);
    }
}

#[test]
fn a_fold_that_fails_leaves_nothing_behind_and_stops_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let generation = fresh(&directory.path().join("gen"));
    let mut log = Log::default();
    let fund = Uuid::from_u128(0x99);
    log.write(&launched(fund, "gold", None));
    log.write(&paid_in(Uuid::from_u128(1), OWNER, fund, 1));
    log.write(&paid_back(Uuid::from_u128(2), OWNER, fund));
    let mut engine = engine(&generation);
    for record in &log.records {
        apply(&mut engine, &generation, record).unwrap();
    }
    engine.commit(&generation).unwrap();
    assert_eq!((engine.counts().applied, generation.checkpoint().events()), (2, 3));
    assert_eq!(views::deposits(&generation, OWNER).len(), 1);
    let reasons: Vec<_> = generation.quarantine().keys().map(|key| (key.view, key.reason.clone())).collect();
    assert!(matches!(&reasons[..], [(Some(3), why)] if why.contains("was never paid in")), "{reasons:?}");
}
