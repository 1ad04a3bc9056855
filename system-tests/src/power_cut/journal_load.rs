//! A journal under load: groups that say of themselves which they are, in small segments of which the oldest go.

use std::path::Path;

use daybook_journal::{
    Beginning, Event, Found, Group, Identity, Journal, KeyOutcome, Kind, OpenError, PartitionState, Record,
    Retention, Settings, Write, find,
};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use uuid::Uuid;

use super::notes::{Note, Notes, now_ns};

/// Partitions of the journal.
pub const PARTITIONS: usize = 2;
/// Events of a group at most.
pub const EVENTS_MAX: u64 = 3;
/// Bytes of an event's value: mostly so many at most, and seldom more.
const VALUE_BYTES_MAX: usize = 1_500;
const LARGE_VALUE_BYTES_MAX: usize = 9_000;
/// Most that one record takes on the disk, filled up to whole blocks; ids, keys and lengths take less than a block.
pub const RECORD_BYTES_MAX: u64 = EVENTS_MAX * LARGE_VALUE_BYTES_MAX as u64 + 2 * 4_096;
const RETENTION: Retention = Retention {
    journal_bytes_max: 1024 * 1024,
    kept_bytes_max: 128 * 1024,
    kept_events_max: 10,
    kept_age_ms_max: 1_000_000,
    key_age_ms_min: 0,
    key_age_ms_max: 0,
    clock_ahead_ms: 0,
    keys_max: u64::MAX,
};
const NOW_MS: u64 = 1_795_000_000_000;

/// One group, appended or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt {
    /// Number of the process.
    pub life: u64,
    /// Number of the group in it.
    pub number: u64,
    /// Next position of each partition.
    pub next: [u64; PARTITIONS],
}

impl Attempt {
    pub(super) fn numbers(self) -> [u64; 2 + PARTITIONS] {
        [self.life, self.number, self.next[0], self.next[1]]
    }

    pub(super) fn of_numbers(numbers: &[u64]) -> Self {
        match *numbers {
            [life, number, first, second] => Self { life, number, next: [first, second] },
            _ => panic!("no attempt: {numbers:?}"),
        }
    }

    /// Hash of its idempotency key.
    pub fn hash(self) -> [u8; 16] {
        (u128::from(self.life) << 64 | u128::from(self.number)).to_be_bytes()
    }

    /// The group: the same for the same attempt.
    pub fn group(self) -> Group {
        let mut random = StdRng::seed_from_u64(self.life << 32 | self.number);
        let mut next = self.next;
        let events = (0..random.random_range(1..=EVENTS_MAX)).map(|_| {
            let partition = random.random_range(0..PARTITIONS);
            let position = next[partition];
            next[partition] += 1;
            event(partition as i32, position, &mut random)
        });
        let events = events.collect();
        let bytes = self.numbers().map(u64::to_be_bytes).concat();
        let outcome = KeyOutcome { hash: self.hash(), outcome: bytes.clone() };
        Group { events, writes: vec![Write { key: bytes, value: None }], keys: vec![outcome] }
    }

    /// Which attempt a record says that it is; none for what the journal writes by itself.
    pub fn of(record: &Record) -> Option<Self> {
        if record.kind != Kind::Group {
            return None;
        }
        let numbers: Vec<u64> = record.group.writes[0]
            .key
            .chunks(8)
            .map(|bytes| u64::from_be_bytes(bytes.try_into().expect("eight bytes")))
            .collect();
        Some(Self::of_numbers(&numbers))
    }
}

fn event(partition: i32, position: u64, random: &mut StdRng) -> Event {
    let most = if random.random_bool(0.1) { LARGE_VALUE_BYTES_MAX } else { VALUE_BYTES_MAX };
    let mut value = vec![0; random.random_range(0..most)];
    random.fill(&mut value[..]);
    Event {
        partition,
        position,
        id: Uuid::from_u128(random.random()),
        key: position.to_string(),
        traceparent: String::new(),
        value,
    }
}

/// What Kafka is said to have of a partition: of the first nearly all, of the second nothing for long.
fn acknowledged(next: &[u64]) -> [u64; PARTITIONS] {
    [next[0].saturating_sub(2), next[1] / 100 * 100]
}

/// Begins with what was found.
///
/// # Errors
/// Those of [`Found::begin`].
pub fn begin(found: Found) -> Result<Journal, OpenError> {
    let identity =
        Identity { topic: "t".to_owned(), cluster: "c".to_owned(), layout: 3, partitions: PARTITIONS as i32 };
    let settings = Settings { segment_bytes: 64 * 1024, recent_bytes_max: 4096 };
    let (new_id, initial) = (Uuid::from_u128(77), &[PartitionState::default(); PARTITIONS]);
    let beginning = Beginning { identity: &identity, new_id, initial, in_log: &[], now_ms: NOW_MS };
    found.begin(&beginning, &settings)
}

/// Next positions of what was found.
pub fn next(found: &Found) -> [u64; PARTITIONS] {
    let next: Vec<u64> = found.partitions().iter().map(|state| state.next).collect();
    next.try_into().unwrap_or_default()
}

/// Appends one group.
///
/// # Errors
/// Those of [`Journal::append`].
pub fn append(journal: &mut Journal, attempt: Attempt) -> Result<u64, daybook_journal::AppendError> {
    journal.append(attempt.group(), NOW_MS)
}

/// One process: opens the journal, appends `groups` groups, lets segments go, and ends in order unless it is killed.
pub fn live(directory: &Path, notes: &Path, life: u64, groups: u64) {
    let mut notes = Notes::open(notes);
    let mut random = StdRng::seed_from_u64(life);
    let found = find(directory).expect("the journal can be read");
    let mut next = next(&found);
    let mut journal = begin(found).expect("the journal can be opened");
    notes.write(begun(&journal));
    for number in 1..=groups {
        let attempt = Attempt { life, number, next };
        notes.write(Note::Try(attempt));
        let record = append(&mut journal, attempt).expect("a disk that works");
        notes.write(Note::Done { ns: now_ns(), number: record, attempt });
        for event in attempt.group().events {
            next[event.partition as usize] = event.position + 1;
        }
        if random.random_bool(0.2) {
            retire(&mut journal, &next, &mut notes);
        }
    }
    if random.random_bool(0.5) {
        journal.close(NOW_MS).expect("a disk that works");
    }
}

fn begun(journal: &Journal) -> Note {
    let (first, last) = (first(journal), journal.last_number());
    let record = journal.reader().records_from(last.max(1)).next();
    let group = record.and_then(|record| Attempt::of(&record.expect("a record that was just read")));
    Note::Begun { ns: now_ns(), first, last, group }
}

fn first(journal: &Journal) -> u64 {
    let first = journal.reader().records_from(1).next();
    first.map_or(1, |record| record.expect("a record that was synced").number)
}

fn retire(journal: &mut Journal, next: &[u64], notes: &mut Notes) {
    let acknowledged = acknowledged(next);
    journal.index_synced(journal.last_number());
    for (partition, before) in acknowledged.into_iter().enumerate() {
        journal.reader().sent(partition, before, None);
    }
    loop {
        notes.write(Note::Retire { ns: now_ns(), first: first(journal), acknowledged });
        let gone = journal.retire(&RETENTION, &acknowledged, NOW_MS).expect("a disk that works");
        notes.write(Note::Retired { ns: now_ns(), first: first(journal) });
        if !gone {
            return;
        }
    }
}
