//! How large the batches are in which events leave the quarantine.

use std::borrow::Cow;
use std::sync::Arc;

use daybook_event::envelope::{self, Envelope};
use daybook_event::event_data::DataError;
use daybook_store::BATCH_BYTES_MAX;
use jiff::Timestamp;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use super::super::PARKED_EVENTS_PER_KEY_MAX;
use super::*;
use crate::checkpoint::{Checkpoint, SourceId};
use crate::projection::{Topic, ViewEntry};
use crate::view::{EventMeta, FoldError, Parts, View};

const ROW_BYTES: usize = 6_000;
/// What one event adds to a batch that is not yet full: a row, a part, and their keys.
const EVENT_BYTES_MAX: usize = 2 * ROW_BYTES + 1_000;
const EVENTS: u64 = 300;

#[derive(Debug)]
struct Written(Uuid);

impl EventData for Written {
    fn event_type(&self) -> &'static str {
        "toy.letter.written.v1"
    }
    fn to_data(&self) -> serde_json::Result<Box<RawValue>> {
        to_raw_value(&self.0)
    }
    fn from_data(_event_type: &str, data: &RawValue) -> Result<Self, DataError> {
        Ok(Self(serde_json::from_str(data.get()).unwrap()))
    }
}

/// A row and a part of several KB for each letter.
struct Letters;

impl View for Letters {
    type Event = Written;
    type Change = ();
    type Row = Vec<u8>;
    const ID: u8 = 1;
    const NAME: &'static str = "letters";

    fn change(event: &Written) -> Option<(Uuid, ())> {
        Some((event.0, ()))
    }
    fn fold(
        _row: Option<Vec<u8>>,
        (): (),
        at: &EventMeta<'_>,
        parts: &mut Parts<'_>,
    ) -> Result<Option<Vec<u8>>, FoldError> {
        parts.write(at.position as u32, vec![b'p'; ROW_BYTES]);
        Ok(Some(vec![b'r'; ROW_BYTES]))
    }
}

const LETTERS: Projection<Written> = Projection {
    layout_version: 1,
    topics: &[Topic { name: "letters", service: "post" }],
    views: &[ViewEntry::of::<Letters>()],
};

/// An event of a key, as it waits; the reason of one that is not the first of its key is not known.
fn waiting(letter: Uuid, key: String, position: u64, reason: Option<&str>) -> ParkedRecord {
    let (id, event) = (Uuid::from_u128(position.into()), Written(letter));
    let value = envelope::seal(&Envelope {
        writer_epoch: 0,
        previous_id: None,
        id,
        source: envelope::Source { service: "post".into(), partition: 0 },
        event_type: event.event_type().into(),
        subject: letter,
        time: Timestamp::UNIX_EPOCH,
        position,
        aggregate_version: 1,
        correlation_id: id,
        causation_id: id,
        traceparent: None,
        data: Cow::Owned(event.to_data().unwrap()),
    })
    .unwrap();
    ParkedRecord {
        source: SourceId { topic: "letters".into(), partition: 0 },
        key,
        position,
        offset: position as i64,
        id,
        has_event_id: true,
        change: None,
        value: Some(value),
        headers: Vec::new(),
        reason: reason.map(str::to_owned),
    }
}

/// A generation in which these wait, opened again so that only what comes is measured.
fn with(records: impl IntoIterator<Item = ParkedRecord>) -> (tempfile::TempDir, Generation) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gen");
    let start = Checkpoint::zero([("letters", 1)]);
    let generation = Generation::create(&path, &LETTERS.layout(), &start, "a test").unwrap();
    let records = records.into_iter().collect::<Vec<_>>();
    generation.put_parked(&records).unwrap();
    generation.finish().unwrap();
    drop(generation);
    let generation = Generation::open(&path, &LETTERS.layout(), "a test").unwrap();
    assert_eq!(generation.quarantine().events(), records.len() as u64);
    (directory, generation)
}

fn of_many_keys() -> (tempfile::TempDir, Generation) {
    let letter = |position: u64| Uuid::from_u128(position.into());
    with((0..EVENTS).map(|at| waiting(letter(at), letter(at).to_string(), at, Some("unknown"))))
}

/// The key is as long as one may be.
fn of_one_key() -> (tempfile::TempDir, Generation, String) {
    let (letter, key) = (Uuid::from_u128(7), "k".repeat(super::super::PARKED_KEY_BYTES_MAX));
    let reason = |at| (at == 0).then_some("unknown");
    let (directory, generation) = with((0..EVENTS).map(|at| waiting(letter, key.clone(), at, reason(at))));
    (directory, generation, key)
}

#[track_caller]
fn assert_bounded(generation: &Generation) {
    let largest = generation.largest_batch();
    assert!(largest <= BATCH_BYTES_MAX + EVENT_BYTES_MAX, "{largest} bytes in one batch");
    assert!(generation.quarantine().is_empty());
    assert_eq!(generation.recount_digest().unwrap(), generation.digest());
}

#[test]
fn what_is_released_of_many_keys_is_written_in_batches_as_small_as_those_of_following() {
    let (_directory, generation) = of_many_keys();
    let released = release_all(&generation, LETTERS).unwrap();
    assert_eq!(released, Released { projected: EVENTS, ..Released::default() });
    assert_bounded(&generation);
    assert_eq!(generation.scan(Letters::ID, None, 1_000).unwrap().len() as u64, EVENTS);
}

#[test]
fn what_is_released_of_one_key_is_written_in_batches_as_small_as_those_of_following() {
    let (_directory, generation, key) = of_one_key();
    let released = release(&generation, LETTERS, &key).unwrap();
    assert_eq!(released, Released { projected: EVENTS, ..Released::default() });
    assert_bounded(&generation);
    let (_other, at_once, _) = of_one_key();
    release_all(&at_once, LETTERS).unwrap();
    assert_eq!(generation.digest(), at_once.digest());
}

#[test]
fn what_is_left_out_is_removed_in_batches_as_small_as_those_of_following() {
    let (_directory, generation, key) = of_one_key();
    let skipped = |at: u64| SkippedEvent {
        topic: "letters".to_owned(),
        partition: 0,
        position: at,
        id: Uuid::from_u128(at.into()),
        views: Vec::new(),
        event_id: None,
        key: key.clone(),
        why: "a test".to_owned(),
        at: String::new(),
    };
    let left_out = leave_out(&generation, LETTERS, (0..EVENTS).map(skipped).collect()).unwrap();
    assert_eq!(left_out, Released { left_out: EVENTS, ..Released::default() });
    assert_bounded(&generation);
}

/// What was not in a batch yet still waits, and nothing is projected twice.
#[test]
fn a_release_that_was_cut_short_in_the_middle_of_a_key_is_gone_on_with() {
    let (directory, generation, key) = of_one_key();
    let source = SourceId { topic: "letters".into(), partition: 0 };
    let mut killed = Leaving::new(&generation, LETTERS, &[]);
    let mut records = generation.parked_of(&source, &key).unwrap();
    records.truncate(100);
    killed.take(records, |_| false).unwrap();
    let is_left = EVENTS - 100 + killed.gone.len() as u64;
    drop(killed);
    drop(generation);
    let path = directory.path().join("gen");
    let generation = Generation::open(&path, &LETTERS.layout(), "a test").unwrap();
    assert_eq!(generation.quarantine().events(), is_left);
    let released = release_all(&generation, LETTERS).unwrap();
    assert_eq!(released, Released { projected: is_left, ..Released::default() });
    let (_other, at_once, key) = of_one_key();
    release(&at_once, LETTERS, &key).unwrap();
    assert_eq!(generation.digest(), at_once.digest());
}

/// The event would be the first of its row, and the others wait because it is not there.
#[test]
fn what_would_wait_behind_as_many_changes_of_its_row_as_may_wait_is_not_released_and_says_so() {
    let row = Uuid::from_u128(7);
    let change = |position| {
        let (record, time_us) = (waiting(row, row.to_string(), position, Some("it contradicts")), 0);
        let id = ViewChange::id(&record.source, position, time_us);
        let change = Some(ViewChange { view: Letters::ID, row, time_us });
        ParkedRecord { id, has_event_id: false, change, value: Some(Vec::new()), ..record }
    };
    let changes = |count: u64| (1..=count).map(change);
    let event = || [waiting(row, "letter".to_owned(), 0, Some("unknown"))];
    let (_directory, generation) = with(event().into_iter().chain(changes(PARKED_EVENTS_PER_KEY_MAX)));
    let before = generation.moment();
    let refused = release(&generation, LETTERS, "letter").unwrap_err();
    assert!(matches!(refused, ReleaseError::NoRoom { .. }), "{refused}");
    let said = refused.to_string();
    for part in ["letters/0 offset 0", &row.to_string(), "no more events of one key", "--skip-event"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(Arc::ptr_eq(&before, &generation.moment()), "nothing was changed");
    let (_directory, generation) = with(event().into_iter().chain(changes(PARKED_EVENTS_PER_KEY_MAX - 1)));
    release(&generation, LETTERS, "letter").unwrap();
}
