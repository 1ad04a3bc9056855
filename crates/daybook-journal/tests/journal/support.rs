//! A small journal, and what every test does with it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use daybook_journal::{
    Beginning, Event, Found, Group, Identity, Journal, KeyOutcome, OpenError, PartitionState, Settings,
    Write, find,
};
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) const PARTITIONS: i32 = 2;
pub(crate) const NOW_MS: u64 = 1_795_000_000_000;

/// Segments of 64 KiB: a few records fill one.
pub(crate) fn settings() -> Settings {
    Settings { segment_bytes: 64 * 1024, recent_bytes_max: 4096 }
}

pub(crate) fn identity() -> Identity {
    Identity { topic: "t".to_owned(), cluster: "c".to_owned(), layout: 3, partitions: PARTITIONS }
}

pub(crate) fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn begin(path: &Path) -> Result<Journal, OpenError> {
    begin_as(find(path)?, &identity(), &settings())
}

pub(crate) fn begin_as(found: Found, identity: &Identity, settings: &Settings) -> Result<Journal, OpenError> {
    let (new_id, initial) = (Uuid::from_u128(77), &[PartitionState::default(); PARTITIONS as usize]);
    let beginning = Beginning { identity, new_id, initial, in_log: &[], now_ms: NOW_MS };
    found.begin(&beginning, settings)
}

/// A group of one event, one write and one key, all of which say `position`. Every partition in turn.
pub(crate) fn group(number: u64, value_bytes: usize) -> Group {
    let (partition, position) = ((number % 2) as i32, number / 2);
    let event = Event {
        partition,
        position,
        id: id(partition, position),
        key: position.to_string(),
        traceparent: String::new(),
        value: vec![b'v'; value_bytes],
    };
    let write = Write { key: format!("A{number}").into_bytes(), value: Some(number.to_be_bytes().to_vec()) };
    let outcome = KeyOutcome { hash: hash(number), outcome: number.to_be_bytes().to_vec() };
    Group { events: vec![event], writes: vec![write], keys: vec![outcome] }
}

pub(crate) fn id(partition: i32, position: u64) -> Uuid {
    Uuid::from_u128((partition as u128 + 1) << 64 | u128::from(position))
}

pub(crate) fn hash(number: u64) -> [u8; 16] {
    (u128::from(number) + 1).to_be_bytes()
}

/// Appends groups `from..to`; each is record `number + 1` of a journal that was made with them alone.
pub(crate) fn append(journal: &mut Journal, from: u64, to: u64, value_bytes: usize) {
    for number in from..to {
        journal.append(group(number, value_bytes), NOW_MS + number).unwrap();
    }
}

/// Asserts that the journal has the groups before `count`, once and in order, and nothing else.
pub(crate) fn assert_has(journal: &Journal, count: u64) {
    let reader = journal.reader();
    let records: Vec<_> = reader.records_from(1).map(Result::unwrap).collect();
    let groups: Vec<_> = records.iter().filter(|record| !record.group.writes.is_empty()).collect();
    assert_eq!(groups.len() as u64, count);
    for (number, record) in (0..).zip(&groups) {
        let expected = group(number, record.group.events[0].value.len());
        assert_eq!(record.group, expected, "record {}", record.number);
    }
    for number in 0..count {
        let (partition, position) = ((number % 2) as usize, number / 2);
        let events = reader.events(partition, position).unwrap();
        let events = events.unwrap_or_else(|| panic!("partition {partition} has no position {position}"));
        assert!(events.iter().any(|event| event.id == id(partition as i32, position)));
        let (_, outcome) = reader.outcome(&hash(number)).unwrap().expect("the key is remembered");
        assert_eq!(outcome.outcome, number.to_be_bytes());
    }
}

/// Files of segments, in order.
pub(crate) fn segments(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> = entries.filter(|path| path.extension().is_some()).collect();
    segments.retain(|path| path.extension().is_some_and(|extension| extension == "journal"));
    segments.sort();
    segments
}

/// The directory as it is now, as if the process had been killed.
pub(crate) fn copy(from: &Path) -> TempDir {
    let to = directory();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match fs::copy(entry.path(), to.path().join(entry.file_name())) {
            // The spare segment got its name meanwhile; a process can be killed before it.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            copied => assert!(copied.is_ok(), "{copied:?}"),
        }
    }
    to
}

pub(crate) fn flip(path: &Path, byte: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[byte] ^= 0x10;
    fs::write(path, bytes).unwrap();
}
