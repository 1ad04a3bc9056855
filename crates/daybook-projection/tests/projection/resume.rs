//! The same rows, wherever it was stopped and however topics interleaved.

use proptest::prelude::*;

use daybook_projection::engine::{Engine, Limits};

use crate::domain;
use crate::log::{Log, Record, apply, digest_of, engine, fresh, open, project};
use crate::transcript::transcript;

const EVENTS: usize = 300;
const SEED: u64 = 11;

#[test]
fn resumed_at_every_prefix_the_digest_is_the_same() {
    let log = transcript(EVENTS, SEED);
    let expected = digest_of(&log.records);
    let directory = tempfile::tempdir().unwrap();
    for stop_after in 0..=EVENTS {
        let path = directory.path().join(stop_after.to_string());
        project(&fresh(&path), &log.records[..stop_after]);
        let generation = open(&path);
        project(&generation, &log.records);
        assert_eq!(generation.digest(), expected, "stopped after {stop_after} records");
        assert_eq!(
            generation.checkpoint().events(),
            events(&log.records),
            "stopped after {stop_after} records"
        );
        drop(generation);
        std::fs::remove_dir_all(path).unwrap();
    }
}

#[test]
fn what_was_not_committed_is_read_again() {
    const COMMIT_EVERY: usize = 7;
    let log = transcript(EVENTS, SEED + 1);
    let expected = digest_of(&log.records);
    let directory = tempfile::tempdir().unwrap();
    for crash_after in (0..=EVENTS).step_by(5) {
        let path = directory.path().join(crash_after.to_string());
        let generation = fresh(&path);
        let mut engine = engine(&generation);
        for (index, record) in log.records[..crash_after].iter().enumerate() {
            apply(&mut engine, &generation, record).unwrap();
            if index % COMMIT_EVERY == 0 {
                engine.commit(&generation).unwrap();
            }
        }
        drop((engine, generation));
        let generation = open(&path);
        project(&generation, &log.records);
        assert_eq!(generation.digest(), expected, "crashed after {crash_after} records");
    }
}

#[test]
fn different_logs_have_different_digests() {
    let log = transcript(EVENTS, SEED);
    assert_ne!(digest_of(&log.records), digest_of(&log.records[..EVENTS - 20]));
    assert_ne!(digest_of(&log.records), digest_of(&transcript(EVENTS, SEED + 2).records));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Topics and partitions in any mixture, commits at any moment, and a cache that forgets all the time.
    #[test]
    fn interleaving_does_not_show(seed in 0..4_u64, turns: Vec<u8>, commits in prop::collection::vec(any::<bool>(), 1..40)) {
        let log = transcript(EVENTS, seed);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gen");
        let mut generation = fresh(&path);
        let tiny = Limits { changed_rows_max: 20, cache_bytes_max: 0 };
        let mut engine = Engine::new(domain::projection(), &generation.checkpoint(), tiny);
        for (index, record) in interleaved(&log, &turns).iter().enumerate() {
            apply(&mut engine, &generation, record).unwrap();
            if commits[index % commits.len()] {
                engine.commit(&generation).unwrap();
            }
            if index == EVENTS / 2 {
                engine.commit(&generation).unwrap();
                drop(generation);
                generation = open(&path);
                engine = Engine::new(domain::projection(), &generation.checkpoint(), tiny);
            }
        }
        engine.commit(&generation).unwrap();
        prop_assert_eq!(generation.digest(), digest_of(&log.records));
    }
}

/// All records, each partition in its order, mixed as `turns` say.
fn interleaved(log: &Log, turns: &[u8]) -> Vec<Record> {
    let mut sources: Vec<_> = log.by_source().into_values().map(Vec::into_iter).collect();
    let mut turns = turns.iter().chain(std::iter::repeat(&0));
    let mut mixed = Vec::new();
    while !sources.is_empty() {
        let turn = usize::from(*turns.next().unwrap()) % sources.len();
        match sources[turn].next() {
            Some(record) => mixed.push(record),
            None => drop(sources.swap_remove(turn)),
        }
    }
    mixed
}

/// Events of a log without its repetitions.
pub(crate) fn events(records: &[Record]) -> u64 {
    let mut values: Vec<_> = records.iter().map(|record| &record.value).collect();
    values.sort_unstable();
    values.dedup();
    values.len() as u64
}
