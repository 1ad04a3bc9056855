//! An image of a journal's directory, opened as a service would open it, and compared with what must be in it.

use std::path::Path;

use daybook_journal::{Journal, Kind, Record, Tail, find};
use system_tests::power_cut::journal_load::{self, Attempt};

use crate::expected::Expected;

/// The process that goes on with an image.
const LAST_LIFE: u64 = 1_000_000;

/// What was found in an image.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// It ended with something that was no whole record.
    pub(crate) torn: bool,
    /// A group is there that nobody had been told about.
    pub(crate) untold: bool,
    pub(crate) records: usize,
}

/// Opens the image, and asserts that all is there, once and in order; then appends to it, and opens it once more.
pub(crate) fn check(directory: &Path, expected: &Expected<'_>) -> Result<Seen, String> {
    let found = find(directory).map_err(|error| format!("it cannot be read: {error}"))?;
    let torn = matches!(found.tail(), Tail::Torn { .. });
    let next = journal_load::next(&found);
    if found.last_number() < expected.last {
        return Err(format!("record {} was acknowledged and is not there", expected.last));
    }
    let journal = journal_load::begin(found);
    let mut journal = journal.map_err(|error| format!("it cannot be opened: {error}"))?;
    let records = compare(&journal, expected)?;
    let attempt = Attempt { life: LAST_LIFE, number: 1, next };
    let appended = journal_load::append(&mut journal, attempt);
    let number = appended.map_err(|error| format!("nothing can be appended to it: {error}"))?;
    drop(journal);
    let found = find(directory).map_err(|error| format!("opened once, it cannot be read: {error}"))?;
    if found.last_number() < number {
        return Err("opened once, it has lost what was appended then".to_owned());
    }
    let journal = journal_load::begin(found);
    let journal = journal.map_err(|error| format!("opened once, it cannot be opened again: {error}"))?;
    let again = read(&journal)?;
    let same = again.len() == records.len() + 1 && again.starts_with(&records);
    if !same || Attempt::of(&again[records.len()]) != Some(attempt) {
        return Err("opened once more, it has other records".to_owned());
    }
    let untold = records.iter().any(|record| record.number > expected.last && record.kind == Kind::Group);
    Ok(Seen { torn, untold, records: records.len() })
}

fn read(journal: &Journal) -> Result<Vec<Record>, String> {
    let records: Result<_, _> = journal.reader().records_from(1).collect();
    records.map_err(|error| format!("not all of it can be read: {error}"))
}

fn compare(journal: &Journal, expected: &Expected<'_>) -> Result<Vec<Record>, String> {
    let records = read(journal)?;
    in_order(&records, expected)?;
    groups(&records, expected)?;
    events(journal, expected)?;
    keys(journal, expected)?;
    Ok(records)
}

/// Every number once, from one that may be the first up to one that may be the last.
fn in_order(records: &[Record], expected: &Expected<'_>) -> Result<(), String> {
    let numbers: Vec<u64> = records.iter().map(|record| record.number).collect();
    if let Some(gap) = numbers.windows(2).find(|pair| pair[1] != pair[0] + 1) {
        return Err(format!("record {} comes behind record {}", gap[1], gap[0]));
    }
    let (first, last) = (numbers.first().copied().unwrap_or(1), numbers.last().copied().unwrap_or(0));
    if first > expected.first && expected.last > 0 {
        return Err(format!("it begins with record {first}, and {} was needed", expected.first));
    }
    if last < expected.last {
        return Err(format!("it ends with record {last}, and {} was acknowledged", expected.last));
    }
    Ok(())
}

/// Every group is one that was tried, what was acknowledged is what it was, and only the last record may be neither.
fn groups(records: &[Record], expected: &Expected<'_>) -> Result<(), String> {
    for (index, record) in records.iter().enumerate() {
        let number = record.number;
        let Some(attempt) = Attempt::of(record) else {
            if expected.groups.contains_key(&number) {
                return Err(format!("record {number} was a group and is {:?}", record.kind));
            }
            continue;
        };
        if !expected.tried.contains(&attempt) || record.group != attempt.group() {
            return Err(format!("record {number} was never appended like this"));
        }
        match expected.groups.get(&number) {
            Some(told) if *told == attempt => {}
            Some(told) => return Err(format!("record {number} was {told:?} and is {attempt:?}")),
            None if index + 1 == records.len() => {}
            None => return Err(format!("record {number} was not acknowledged and is not the last one")),
        }
    }
    Ok(())
}

/// Every event that Kafka does not have can be read by its position, and what can be read is what it was.
fn events(journal: &Journal, expected: &Expected<'_>) -> Result<(), String> {
    let reader = journal.reader();
    let kept_from = |partition: usize| reader.kept_from(partition).unwrap_or(u64::MAX);
    let from = std::array::from_fn(|partition| kept_from(partition).min(expected.acknowledged[partition]));
    for ((partition, position), event) in expected.events(from) {
        let found = reader.events(partition, position);
        let found = found.map_err(|error| format!("{partition}@{position} cannot be read: {error}"))?;
        match found {
            Some(events) if events.iter().filter(|found| **found == event).count() == 1 => {}
            None if position < expected.acknowledged[partition] => {}
            Some(_) => return Err(format!("{partition}@{position} is another event")),
            None => return Err(format!("{partition}@{position} is gone, and Kafka does not have it")),
        }
    }
    Ok(())
}

/// The outcome of every group that is kept is known by its key.
fn keys(journal: &Journal, expected: &Expected<'_>) -> Result<(), String> {
    let reader = journal.reader();
    for (number, attempt) in expected.groups.range(expected.first..) {
        let outcome = reader.outcome(&attempt.hash());
        let outcome =
            outcome.map_err(|error| format!("the key of record {number} cannot be read: {error}"))?;
        if outcome.map(|(_, outcome)| outcome) != attempt.group().keys.pop() {
            return Err(format!("the key of record {number} has another outcome"));
        }
    }
    Ok(())
}
