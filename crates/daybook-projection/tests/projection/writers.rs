//! A log that several writers wrote, one after the other and one beside the other, says what those in force have written.

use std::collections::BTreeMap;

use daybook_event::claim::{self, Claim, Writer};
use daybook_event::envelope::{Source, as_sent};
use jiff::Timestamp;
use uuid::Uuid;

use crate::broker::Broker;
use crate::domain::joined;
use crate::log::{Dice, Log, SourceIndex, digest_of, fresh, open, project, sealed_as, topic_and_partition};
use crate::rebuilds::{options, rebuild};
use crate::transcript::transcript;

const EVENTS: usize = 300;
const SEED: u64 = 29;
/// One record in so many is preceded by a take-over.
const TAKEN_OVER_ONE_IN: u64 = 12;
/// Late records of the writer before, at most.
const LATE_MAX: u64 = 3;

fn source(index: SourceIndex) -> Source<'static> {
    let (topic, partition) = topic_and_partition(index);
    Source { service: topic.trim_end_matches(".events").to_owned().into(), partition }
}

fn claimed(index: SourceIndex, epoch: u32, dice: &mut Dice) -> Vec<u8> {
    let writer =
        Writer { instance: dice.uuid(), host: "host-1".to_owned(), claimed_at: Timestamp::UNIX_EPOCH };
    claim::seal(&Claim { id: dice.uuid(), source: source(index), epoch, writer }).unwrap()
}

/// The same events, sent by writers that took over from each other, with what those before had under way behind each
/// claim: other events at the same positions. Returns how many records are not in force as well.
fn taken_over(log: &Log) -> (Log, u64) {
    let (mut dice, mut written, mut fenced) = (Dice(SEED), Log::default(), 0);
    let mut epochs: BTreeMap<SourceIndex, u32> = BTreeMap::new();
    for record in &log.records {
        let epoch = epochs.entry(record.source).or_default();
        if *epoch == 0 || dice.roll(TAKEN_OVER_ONE_IN) == 0 {
            let before = *epoch;
            *epoch += 1;
            written.write_value(record.source, Uuid::nil(), claimed(record.source, *epoch, &mut dice));
            for _ in 0..dice.roll(LATE_MAX + 1) {
                let (late, position) = (joined(dice.uuid()), dice.roll(EVENTS as u64));
                let late = sealed_as(&late, &source(record.source), position, dice.uuid());
                let late = if before == 0 { late } else { as_sent(&late, before, None).unwrap() };
                written.write_value(record.source, Uuid::nil(), late);
                fenced += 1;
            }
            // One that claimed at the same time, and lost.
            written.write_value(record.source, Uuid::nil(), claimed(record.source, *epoch, &mut dice));
            fenced += 1;
        }
        let key = Uuid::try_parse_ascii(&record.key).unwrap();
        written.write_value(record.source, key, as_sent(&record.value, *epoch, None).unwrap());
    }
    (written, fenced)
}

#[test]
fn stopped_anywhere_only_what_was_in_force_is_in_the_rows() {
    let log = transcript(EVENTS, SEED);
    let (written, _) = taken_over(&log);
    let expected = digest_of(&log.records);
    let directory = tempfile::tempdir().unwrap();
    for stop_after in (0..=written.records.len()).step_by(9) {
        let path = directory.path().join(stop_after.to_string());
        project(&fresh(&path), &written.records[..stop_after]);
        let generation = open(&path);
        project(&generation, &written.records);
        assert_eq!(generation.digest(), expected, "stopped after {stop_after} records");
    }
}

#[test]
fn a_replay_leaves_out_what_was_superseded() {
    let log = transcript(EVENTS, SEED);
    let (written, fenced) = taken_over(&log);
    assert!(fenced > 20, "{fenced}");
    let (broker, directory) = (Broker::start(), tempfile::tempdir().unwrap());
    broker.write(&written.records);
    let report = rebuild(&broker, directory.path(), &options()).unwrap();
    assert_eq!(report.digest, digest_of(&log.records));
}
