//! A log in which some records cannot be opened, and some events cannot be folded.

use std::collections::HashMap;

use daybook_projection::{Digest, Generation, ParkedKey};
use uuid::Uuid;

use crate::domain::{joined, launched, paid_back, paid_in};
use crate::log::{Dice, Log, Record, fresh, project};
use crate::transcript::transcript;

/// One event in so many is broken.
const BROKEN_OF: u64 = 25;
/// More than there are partitions, so that each gets some.
const CLOSING: u128 = 12;

/// A transcript of which some events were broken, repetitions alike. Every partition ends with a good event.
pub(crate) fn broken_transcript(events: usize, seed: u64) -> Log {
    let mut log = transcript(events, seed);
    let mut dice = Dice(seed + 1_000);
    let owner = dice.uuid();
    log.write(&paid_back(dice.uuid(), owner, dice.uuid()));
    log.write(&paid_in(dice.uuid(), owner, dice.uuid(), 1));
    for number in 0..CLOSING {
        let id = Uuid::from_u128(0xC105 << 64 | number);
        log.write(&joined(id));
        log.write(&launched(id, "last", None));
        log.write(&paid_in(dice.uuid(), id, id, 1));
    }
    let mut broken = HashMap::new();
    for record in &mut log.records[..events] {
        let value = broken.entry(record.value.clone()).or_insert_with(|| match dice.roll(BROKEN_OF) {
            0 => break_value(record, dice.roll(3)),
            _ => record.value.clone(),
        });
        record.value.clone_from(value);
    }
    log
}

fn break_value(record: &Record, way: u64) -> Vec<u8> {
    let text = String::from_utf8(record.value.clone()).unwrap();
    match way {
        0 => text.replace("\"bank.", "\"bark."),
        1 => text.replace("\"data\":{", "\"data\":{\"owner_id\":7,\"fund_id\":7,\"was\":"),
        _ => format!("nothing to read: {}", &text[..text.len() / 2]),
    }
    .into_bytes()
}

/// What waits.
pub(crate) fn parked(generation: &Generation) -> Vec<ParkedKey> {
    generation.quarantine().keys().cloned().collect()
}

/// The digest that these records lead to, in one go, and what waits then.
pub(crate) fn outcome_of(records: &[Record]) -> (Digest, Vec<ParkedKey>) {
    let directory = tempfile::tempdir().unwrap();
    let generation = fresh(&directory.path().join("gen"));
    project(&generation, records);
    assert_eq!(generation.recount_digest().unwrap(), generation.digest(), "kept up to date");
    (generation.digest(), parked(&generation))
}
