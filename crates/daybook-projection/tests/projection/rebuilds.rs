//! What a replay does beside reading and writing: runs merged in steps, its pace, what it leaves, what it refuses.

use std::path::Path;

use daybook_projection::{
    Comparison, Generation, ReadModel, ReplayError, ReplayOptions, ReplayProgress, ReplayReport, replay,
};
use daybook_service::Stop;
use uuid::Uuid;

use crate::broker::{Broker, until};
use crate::domain::{self, joined, launched, paid_back, paid_in};
use crate::log::{Dice, HOLDER, Log, PARTITIONS, digest_of, fresh};
use crate::transcript::transcript;

pub(crate) fn options() -> ReplayOptions {
    ReplayOptions::new(PARTITIONS, HOLDER.to_owned())
}

pub(crate) fn rebuild(
    broker: &Broker,
    directory: &Path,
    options: &ReplayOptions,
) -> Result<ReplayReport, ReplayError> {
    let read_model = ReadModel::open(directory).unwrap();
    replay(&broker.kafka, &read_model, domain::projection(), options, |_| {}, &Stop::default())
}

/// Changes the journal of an unfinished generation, as another process would.
pub(crate) fn rewrite_journal(generation: &Path, change: impl FnOnce(&str) -> String) {
    let path = generation.join("build/JOURNAL");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, _sum) = text.split_once('\n').unwrap();
    let after = change(before);
    assert_ne!(before, after);
    let sum = blake3::hash(after.as_bytes()).to_hex();
    std::fs::write(&path, format!("{after}\n{sum}\n")).unwrap();
}

#[test]
fn runs_are_merged_in_steps_when_there_are_too_many() {
    let broker = Broker::start();
    let log = transcript(6_000, 51);
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let many = ReplayOptions { memory_bytes_max: 0, runs_merged_max: 2, threads: 2, ..options() };
    let report = rebuild(&broker, directory.path(), &many).unwrap();
    assert_eq!(report.digest, digest_of(&log.records));
    let generation = Generation::open(&report.path, &domain::layout(), HOLDER).unwrap();
    assert_eq!(generation.recount_digest().unwrap(), report.digest);
}

#[test]
fn one_owner_with_very_many_deposits() {
    const DEPOSITS: u32 = 12_000;
    let broker = Broker::start();
    let (mut log, mut dice) = (Log::default(), Dice(52));
    let (owner, fund) = (dice.uuid(), dice.uuid());
    log.write(&launched(fund, "gold", None));
    log.write(&joined(owner));
    let mut open = Vec::new();
    for number in 0..DEPOSITS {
        let deposit = Uuid::from_u128(u128::from(number));
        log.write(&paid_in(deposit, owner, fund, 1));
        open.push(deposit);
        if number % 50 == 49 {
            // Often one from long ago, whose part was written long before.
            let deposit = open.swap_remove(dice.roll(open.len() as u64) as usize);
            log.write(&paid_back(deposit, owner, fund));
        }
    }
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let tiny = ReplayOptions { memory_bytes_max: 0, ..options() };
    assert_eq!(rebuild(&broker, directory.path(), &tiny).unwrap().digest, digest_of(&log.records));
}

#[test]
fn a_replay_is_seen_and_throttled_from_outside_while_it_runs() {
    let broker = Broker::start();
    broker.write(&transcript(500, 53).records);
    let directory = tempfile::tempdir().unwrap();
    let read_model = ReadModel::open(directory.path()).unwrap();
    assert_eq!(read_model.rebuild_at_work(), None);
    assert!(read_model.set_rate(Some(5)).unwrap_err().to_string().contains("no replay is at work"));
    // At this pace it would take minutes.
    let slow = ReplayOptions { rate_max: Some(1), ..options() };
    std::thread::scope(|scope| {
        let replaying = scope.spawn(|| rebuild(&broker, directory.path(), &slow));
        let seen = until("its progress is seen", || {
            let at_work = read_model.rebuild_at_work()?;
            Some((at_work.holder, at_work.progress?))
        });
        assert_eq!((seen.0.as_str(), seen.1.total, seen.1.generation.as_str()), (HOLDER, 500, "gen-000001"));
        read_model.set_rate(None).unwrap();
        replaying.join().unwrap().unwrap();
    });
    assert_eq!(read_model.rebuild_at_work(), None);
    ReadModel::open(directory.path()).unwrap();
}

#[test]
fn stopped_at_any_progress_it_goes_on_from_there() {
    let broker = Broker::start();
    let log = transcript(4_000, 54);
    broker.write(&log.records);
    let expected = digest_of(&log.records);
    for stop_after in 1..6 {
        let directory = tempfile::tempdir().unwrap();
        let read_model = ReadModel::open(directory.path()).unwrap();
        let (cancelled, mut told) = (Stop::default(), 0);
        let stop = |_: ReplayProgress| {
            told += 1;
            if told >= stop_after {
                cancelled.request();
            }
        };
        let slow = ReplayOptions { memory_bytes_max: 0, rate_max: Some(4_000), ..options() };
        let first = replay(&broker.kafka, &read_model, domain::projection(), &slow, stop, &cancelled);
        if let Err(error) = first {
            assert!(matches!(error, ReplayError::Cancelled { .. }), "{error}");
        }
        let report = rebuild(&broker, directory.path(), &options()).unwrap();
        assert_eq!(report.digest, expected, "stopped after {stop_after}");
    }
}

#[test]
fn a_replay_is_compared_with_what_was_published() {
    let broker = Broker::start();
    let mut log = transcript(200, 55);
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let first = rebuild(&broker, directory.path(), &options()).unwrap();
    assert_eq!(first.compared, Comparison::Nothing);
    // The published one is behind, and follows to where the new one is.
    let before = log.records.len();
    log.write(&joined(Uuid::from_u128(1)));
    broker.write(&log.records[before..]);
    let second = rebuild(&broker, directory.path(), &options()).unwrap();
    let digest = digest_of(&log.records).to_string();
    assert_eq!(second.compared, Comparison::Equal { with: "gen-000001".to_owned(), digest });
}

#[test]
fn what_says_something_else_is_published_only_for_a_reason() {
    let (broker, other) = (Broker::start(), Broker::start());
    broker.write(&transcript(100, 56).records);
    other.write(&transcript(100, 57).records);
    let directory = tempfile::tempdir().unwrap();
    let first = rebuild(&broker, directory.path(), &options()).unwrap();
    let refused = rebuild(&other, directory.path(), &options()).unwrap_err();
    assert!(matches!(refused, ReplayError::NotCompared { .. }), "the logs have other ends: {refused}");
    let read_model = ReadModel::open(directory.path()).unwrap();
    assert_eq!(read_model.current().unwrap().as_deref(), Some("gen-000001"));
    let because = ReplayOptions { accept_difference: Some("another log".to_owned()), ..options() };
    let second = rebuild(&other, directory.path(), &because).unwrap();
    assert_eq!((second.generation.as_str(), second.resumed, second.published), ("gen-000002", true, true));
    let Comparison::NotCompared { reason, why } = second.compared else { panic!("{:?}", second.compared) };
    assert_eq!(why, "another log");
    assert_ne!(first.digest, second.digest);
    assert!(reason.contains("gen-000001"), "{reason}");
}

#[test]
fn what_cannot_be_resumed_is_told_and_goes_when_it_is_discarded() {
    let broker = Broker::start();
    broker.write(&transcript(100, 58).records);
    let directory = tempfile::tempdir().unwrap();
    let read_model = ReadModel::open(directory.path()).unwrap();
    let aside = ReplayOptions { accept_difference: None, ..options() };
    let cancelled = Stop::default();
    cancelled.request();
    let stopped = replay(&broker.kafka, &read_model, domain::projection(), &aside, |_| {}, &cancelled);
    assert!(matches!(stopped, Err(ReplayError::Cancelled { .. })));
    rewrite_journal(&directory.path().join("gen-000001"), |journal| {
        journal.replace("\"version\":4", "\"version\":99")
    });
    let refused = rebuild(&broker, directory.path(), &options()).unwrap_err().to_string();
    assert!(refused.contains("gen-000001 was left unfinished") && refused.contains("--discard"), "{refused}");
    assert_eq!(read_model.discard().unwrap(), ["gen-000001"]);
    assert!(!rebuild(&broker, directory.path(), &options()).unwrap().resumed);
}

#[test]
fn so_many_old_generations_are_kept_as_asked_for() {
    let broker = Broker::start();
    broker.write(&transcript(50, 59).records);
    let directory = tempfile::tempdir().unwrap();
    let keep = |keep| ReplayOptions { keep, ..options() };
    for _ in 0..4 {
        rebuild(&broker, directory.path(), &keep(2)).unwrap();
    }
    let read_model = ReadModel::open(directory.path()).unwrap();
    assert_eq!(read_model.names().unwrap(), ["gen-000002", "gen-000003", "gen-000004"]);
    rebuild(&broker, directory.path(), &keep(0)).unwrap();
    assert_eq!(read_model.names().unwrap(), ["gen-000005"]);
    assert!(read_model.roll_back().unwrap_err().to_string().contains("published before"));
}

/// Follows with the published generation until it holds so many events.
pub(crate) fn follow_to_the_end(broker: &Broker, read_model: &ReadModel, events: u64) {
    let path = read_model.path_of(&read_model.current().unwrap().unwrap());
    let generation = std::sync::Arc::new(Generation::open(&path, &domain::layout(), HOLDER).unwrap());
    let follower =
        daybook_projection::Follower::start(&broker.kafka, generation.clone(), domain::projection()).unwrap();
    crate::broker::until_events(&generation, events);
    follower.stop().unwrap();
}

#[test]
fn told_to_stop_it_names_an_event_that_cannot_be_folded_although_only_its_change_was_kept() {
    let broker = Broker::start();
    let mut log = transcript(30, 60);
    let event = paid_back(Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
    let record = log.write(&event);
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let stopping = ReplayOptions { stop_at_quarantine: true, ..options() };
    let error = rebuild(&broker, directory.path(), &stopping).unwrap_err();
    let ReplayError::Stopped(reason) = &error else { panic!("{error}") };
    let at = reason.at().unwrap();
    let opened = daybook_event::envelope::open(Some(&record.value), Vec::new).unwrap();
    assert_eq!((at.offset, at.event_id), (record.offset, Some(opened.id)), "{error}");
}

#[test]
fn a_published_generation_that_was_removed_is_built_anew() {
    let broker = Broker::start();
    let log = transcript(100, 61);
    broker.write(&log.records);
    for wrong in ["gen-000001", "", "../elsewhere"] {
        let directory = tempfile::tempdir().unwrap();
        rebuild(&broker, directory.path(), &options()).unwrap();
        std::fs::remove_dir_all(directory.path().join("gen-000001")).unwrap();
        std::fs::write(directory.path().join("CURRENT"), format!("{wrong}\n")).unwrap();
        let read_model = ReadModel::open(directory.path()).unwrap();
        assert!(read_model.discard().unwrap().is_empty());
        let report = rebuild(&broker, directory.path(), &options()).unwrap();
        let Comparison::NotComparable { reason, .. } = &report.compared else {
            panic!("{:?}", report.compared)
        };
        assert!(reason.contains(&format!("names `{wrong}`")), "{reason}");
        assert_eq!(report.digest, digest_of(&log.records));
        assert_eq!(read_model.current().unwrap().as_ref(), Some(&report.generation));
        assert_ne!(report.generation, wrong);
    }
}

/// A flipped bit is enough for a file to be no text.
#[test]
fn a_file_that_names_no_generation_any_more_is_replaced_and_keeps_nobody_from_anything() {
    let broker = Broker::start();
    let log = transcript(100, 61);
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        rebuild(&broker, directory.path(), &options()).unwrap();
    }
    let read_model = ReadModel::open(directory.path()).unwrap();
    for damaged in ["gen-000002/BEFORE", "CURRENT"] {
        let path = directory.path().join(damaged);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[9] ^= 0x80;
        std::fs::write(&path, bytes).unwrap();
        read_model.discard().unwrap();
        let report = rebuild(&broker, directory.path(), &options()).unwrap();
        assert!(report.published && read_model.current().unwrap() == Some(report.generation), "{damaged}");
    }
}

/// Of what is published, and of what is beside it.
const FILES: [&str; 12] = [
    "CURRENT",
    "REPLAY",
    "gen-000001",
    "gen-000001/BEFORE",
    "gen-000001/FINISHED",
    "gen-000001/LAYOUT",
    "gen-000001/LOCK",
    "gen-000001/rows",
    "gen-000001/rows/db",
    "gen-000001/rows/conf",
    "gen-000002",
    "gen-000002/WITHDRAWN",
];

#[test]
fn whichever_file_is_gone_a_replay_publishes_without_being_told_to() {
    let broker = Broker::start();
    let log = transcript(100, 62);
    broker.write(&log.records);
    for file in FILES {
        let directory = tempfile::tempdir().unwrap();
        rebuild(&broker, directory.path(), &options()).unwrap();
        let read_model = ReadModel::open(directory.path()).unwrap();
        drop(fresh(&read_model.path_of("gen-000002")));
        read_model.publish("gen-000002").unwrap();
        read_model.withdraw("gen-000002", "gen-000001", "a test").unwrap();
        let path = directory.path().join(file);
        let removed =
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.unwrap_or_else(|error| panic!("{file}: {error}"));
        let report = rebuild(&broker, directory.path(), &options());
        let report = report.unwrap_or_else(|error| panic!("without {file}: {error}"));
        assert_eq!((report.published, report.digest), (true, digest_of(&log.records)), "without {file}");
        assert!(read_model.withdrawn().unwrap().is_empty(), "without {file}");
        assert_eq!(read_model.current().unwrap(), Some(report.generation), "without {file}");
    }
}

/// What is whole is kept in its place.
#[test]
fn what_a_replay_has_found_damaged_is_not_rolled_back_to() {
    let broker = Broker::start();
    broker.write(&transcript(100, 63).records);
    for file in ["FINISHED", "rows/db"] {
        let directory = tempfile::tempdir().unwrap();
        let [whole, damaged] = [(); 2].map(|()| rebuild(&broker, directory.path(), &options()).unwrap());
        std::fs::write(damaged.path.join(file), [0xa5; 4096]).unwrap();
        let report = rebuild(&broker, directory.path(), &options()).unwrap();
        assert_eq!(report.retired, [damaged.generation], "{file}");
        let read_model = ReadModel::open(directory.path()).unwrap();
        assert_eq!(read_model.roll_back().unwrap(), (whole.generation, report.generation), "{file}");
    }
}

/// Only what is damaged, or of another layout, says nothing about what was built.
#[test]
fn what_cannot_be_opened_for_a_while_is_compared_later_and_nothing_is_published_before() {
    let broker = Broker::start();
    broker.write(&transcript(100, 62).records);
    let directory = tempfile::tempdir().unwrap();
    rebuild(&broker, directory.path(), &options()).unwrap();
    let lock = directory.path().join("gen-000001/LOCK");
    std::fs::remove_file(&lock).unwrap();
    std::fs::create_dir(&lock).unwrap();
    let refused = rebuild(&broker, directory.path(), &options()).unwrap_err();
    assert!(matches!(&refused, ReplayError::NotCompared { reason } if reason.contains("LOCK")), "{refused}");
    std::fs::remove_dir(&lock).unwrap();
    let second = rebuild(&broker, directory.path(), &options()).unwrap();
    assert!(second.published && matches!(second.compared, Comparison::Equal { .. }), "{second:?}");
}

#[test]
fn what_cannot_be_removed_after_a_publication_fails_no_replay_and_goes_with_the_next_one() {
    let broker = Broker::start();
    broker.write(&transcript(100, 64).records);
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        rebuild(&broker, directory.path(), &options()).unwrap();
    }
    let lock = directory.path().join("gen-000001/LOCK");
    std::fs::remove_file(&lock).unwrap();
    std::fs::create_dir(&lock).unwrap();
    let third = rebuild(&broker, directory.path(), &options()).unwrap();
    assert!(third.published && third.retired.is_empty(), "{third:?}");
    std::fs::remove_dir(&lock).unwrap();
    assert_eq!(rebuild(&broker, directory.path(), &options()).unwrap().retired, ["gen-000001", "gen-000002"]);
}
