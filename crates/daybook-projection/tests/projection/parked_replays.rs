//! A replay parks what a follower parks, and leaves out what was left out.

use std::fs;
use std::sync::Arc;

use daybook_projection::quarantine::leave_out;
use daybook_projection::verify::verify;
use daybook_projection::{
    Comparison, Generation, ReadModel, ReplayError, ReplayOptions, ReplayProgress, ReplayReport, StopReason,
    replay,
};
use daybook_service::Stop;
use uuid::Uuid;

use crate::broken::{broken_transcript, outcome_of, parked};
use crate::broker::{Broker, until_events};
use crate::domain::{self, departed, joined, launched, paid_back, paid_in};
use crate::follow::follow;
use crate::log::{Log, digest_of, open, project};
use crate::parks::{write_nonsense, write_unknown};
use crate::rebuilds::{options, rebuild, rewrite_journal};
use crate::transcript::transcript;
use crate::views::{self, OwnerRow};

const OWNER: Uuid = Uuid::from_u128(0x77);
const NEIGHBOUR: Uuid = Uuid::from_u128(0x79);
/// Events of one partition, come all at once; one a second of them is enough to stop a replay before its end.
const SLOW_EVENTS: usize = 60;

fn built(report: &ReplayReport) -> Generation {
    let generation = open(&report.path);
    assert_eq!(generation.recount_digest().unwrap(), report.digest);
    generation
}

#[test]
fn what_waits_and_all_rows_are_the_same_as_by_following() {
    for (seed, options) in [
        (81, options()),
        (82, ReplayOptions { memory_bytes_max: 0, threads: 2, runs_merged_max: 2, ..options() }),
    ] {
        let broker = Broker::start();
        let log = broken_transcript(1_500, seed);
        broker.write(&log.records);
        let expected = outcome_of(&log.records);
        assert!(expected.1.iter().any(|key| key.reason.contains("was never paid in")), "{:?}", expected.1);
        assert!(expected.1.iter().any(|key| key.event_id.is_none()), "{:?}", expected.1);
        let directory = tempfile::tempdir().unwrap();
        let report = rebuild(&broker, directory.path(), &options).unwrap();
        assert_eq!(report.quarantine.events(), expected.1.iter().map(|key| key.waiting).sum::<u64>());
        let generation = built(&report);
        assert_eq!((generation.digest(), parked(&generation)), expected);
    }
}

/// When it goes on, each key that waits has a further event.
#[test]
fn stopped_at_any_progress_it_parks_the_same() {
    let mut log = broken_transcript(1_500, 83);
    let there = log.records.len();
    for (number, key) in (0..).zip(outcome_of(&log.records).1) {
        let key = key.key.parse().unwrap();
        log.write(&joined(key));
        log.write(&launched(key, "again", None));
        log.write(&paid_in(Uuid::from_u128(number), key, OWNER, 1));
    }
    let expected = outcome_of(&log.records);
    let (there, later) = log.records.split_at(there);
    for stop_after in [1, 2, 3, 5, 8] {
        let broker = Broker::start();
        broker.write(there);
        let directory = tempfile::tempdir().unwrap();
        let read_model = ReadModel::open(directory.path()).unwrap();
        let (cancelled, mut reported) = (Stop::default(), 0);
        let stop = |_| {
            reported += 1;
            if reported >= stop_after {
                cancelled.request();
            }
        };
        let slow = ReplayOptions { memory_bytes_max: 0, rate_max: Some(1_500), ..options() };
        let first = replay(&broker.kafka, &read_model, domain::projection(), &slow, stop, &cancelled);
        assert!(matches!(first, Err(ReplayError::Cancelled { .. }) | Ok(_)), "{first:?}");
        broker.write(later);
        let generation = built(&rebuild(&broker, directory.path(), &options()).unwrap());
        // One that had read all there was goes no further.
        project(&generation, &log.records);
        assert_eq!((generation.digest(), parked(&generation)), expected, "stopped after {stop_after}");
    }
}

/// A key that waits goes on waiting, and a record without a position of its own is known when it is repeated.
#[test]
fn a_build_that_goes_on_in_the_middle_of_a_partition_knows_what_waits() {
    let broker = Broker::start();
    let mut log = Log::default();
    write_unknown(&mut log, OWNER);
    write_nonsense(&mut log, NEIGHBOUR);
    (0..SLOW_EVENTS).for_each(|_| drop(log.write(&joined(OWNER))));
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let read_model = ReadModel::open(directory.path()).unwrap();
    let cancelled = Stop::default();
    let stop = |progress: ReplayProgress| {
        if progress.done > 0 {
            cancelled.request()
        }
    };
    let slow = ReplayOptions { rate_max: Some(1), ..options() };
    let first = replay(&broker.kafka, &read_model, domain::projection(), &slow, stop, &cancelled);
    let read = log.records.len();
    assert!(matches!(first, Err(ReplayError::Cancelled { done, .. }) if done == read as u64), "{first:?}");

    log.repeat(1);
    log.write(&departed(OWNER));
    log.write(&joined(NEIGHBOUR));
    broker.write(&log.records[read..]);
    let report = rebuild(&broker, directory.path(), &options()).unwrap();
    assert!(report.resumed, "{report:?}");
    let generation = built(&report);
    assert_eq!((generation.digest(), parked(&generation)), outcome_of(&log.records));
}

#[test]
fn told_to_stop_it_names_the_record_and_publishes_nothing() {
    let broker = Broker::start();
    let mut log = Log::default();
    log.write(&joined(OWNER));
    let broken = write_unknown(&mut log, OWNER);
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let stopping = ReplayOptions { stop_at_quarantine: true, ..options() };
    let error = rebuild(&broker, directory.path(), &stopping).unwrap_err();
    let ReplayError::Stopped(reason @ StopReason::UnknownEvent { .. }) = &error else { panic!("{error}") };
    let at = reason.at().unwrap();
    let event_id = Some(crate::log::event_id(broken.source, 1));
    assert_eq!((at.offset, at.event_id), (broken.offset, event_id), "{error}");
    assert_eq!(ReadModel::open(directory.path()).unwrap().current().unwrap(), None);
    // Without it, the same build goes on and parks.
    let report = rebuild(&broker, directory.path(), &options()).unwrap();
    assert_eq!((report.quarantine.events(), report.published), (1, true));
}

/// Both kinds of broken records, and both ways to name them.
#[test]
fn what_was_left_out_is_left_out_of_every_later_generation() {
    let broker = Broker::start();
    let mut log = Log::default();
    log.write(&joined(OWNER));
    write_unknown(&mut log, OWNER);
    write_nonsense(&mut log, NEIGHBOUR);
    log.write(&departed(OWNER));
    log.write(&joined(NEIGHBOUR));
    log.write(&paid_in(Uuid::from_u128(1), OWNER, Uuid::from_u128(9), 1));
    log.write(&paid_back(Uuid::from_u128(2), OWNER, Uuid::from_u128(9)));
    log.write(&paid_in(Uuid::from_u128(3), OWNER, Uuid::from_u128(9), 1));
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let first = rebuild(&broker, directory.path(), &options()).unwrap();
    assert_eq!(first.quarantine.keys().count(), 3);

    let read_model = ReadModel::open(directory.path()).unwrap();
    let mut skipped = Vec::new();
    for key in parked(&open(&first.path)) {
        let name = format!("{}/{}@{}", key.topic, key.partition, key.since_position).parse().unwrap();
        let event = first.quarantine.find(&name, "a test", "2026-11-26T20:00:00Z").unwrap();
        skipped = read_model.note_skipped(event).unwrap();
    }
    leave_out(&open(&first.path), domain::projection(), skipped.clone()).unwrap();
    let second = rebuild(&broker, directory.path(), &options()).unwrap();
    assert!(second.quarantine.keys().next().is_none());
    let Comparison::Equal { with, .. } = &second.compared else { panic!("{:?}", second.compared) };
    assert_eq!(with, "gen-000001");
    assert_eq!(second.quarantine.skipped(), skipped);
    let generation = built(&second);
    assert_eq!(views::deposits(&generation, OWNER).len(), 2);
    assert_eq!(views::owner(&generation, OWNER), Some(OwnerRow::Departed));
}

#[test]
fn a_build_that_was_begun_before_an_event_was_left_out_is_not_gone_on_with() {
    let broker = Broker::start();
    let mut log = Log::default();
    write_unknown(&mut log, OWNER);
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let first = rebuild(&broker, directory.path(), &options()).unwrap();
    let read_model = ReadModel::open(directory.path()).unwrap();
    let cancelled = Stop::default();
    cancelled.request();
    let stopped = replay(&broker.kafka, &read_model, domain::projection(), &options(), |_| {}, &cancelled);
    assert!(matches!(stopped, Err(ReplayError::Cancelled { .. })), "{stopped:?}");
    let name = crate::log::event_id(log.records[0].source, 0).to_string().parse().unwrap();
    read_model.note_skipped(first.quarantine.find(&name, "a test", "now").unwrap()).unwrap();
    let refused = rebuild(&broker, directory.path(), &options()).unwrap_err().to_string();
    assert!(refused.contains("--skip-event") && refused.contains("--discard"), "{refused}");
}

#[test]
fn a_verification_counts_what_waits() {
    let broker = Broker::start();
    let log = broken_transcript(400, 84);
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let report = rebuild(&broker, directory.path(), &options()).unwrap();
    assert!(report.quarantine.events() > 0);
    let read_model = ReadModel::open(directory.path()).unwrap();
    let verified = |read_model: &ReadModel| {
        let aside = ReplayOptions { publish: false, ..options() };
        let never = Stop::default();
        verify(&broker.kafka, read_model, domain::projection(), &aside, 10, |_| {}, &never).unwrap()
    };
    let sound = verified(&read_model);
    assert!(sound.is_sound(), "{sound:?}");

    // Left out here alone, and nobody has noted it.
    let key = parked(&open(&report.path)).remove(0);
    let name = format!("{}/{}@{}", key.topic, key.partition, key.since_position).parse().unwrap();
    let event = report.quarantine.find(&name, "a test", "now").unwrap();
    leave_out(&open(&report.path), domain::projection(), vec![event]).unwrap();
    let found = verified(&read_model);
    assert!(!found.is_sound() && found.parked_differently.contains(&key.key), "{found:?}");
}

/// Killed after everything was written and before that was noted, it writes what waits again.
#[test]
fn a_build_that_was_not_yet_noted_as_settled_parks_everything_once() {
    let broker = Broker::start();
    let log = broken_transcript(400, 86);
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    // What it differs from keeps it from being published once it is settled.
    let other = Broker::start();
    other.write(&broken_transcript(400, 87).records);
    rebuild(&other, directory.path(), &options()).unwrap();
    let refused = rebuild(&broker, directory.path(), &options()).unwrap_err();
    assert!(matches!(refused, ReplayError::Differs { .. } | ReplayError::NotCompared { .. }), "{refused}");
    rewrite_journal(&directory.path().join("gen-000002"), |journal| {
        journal.replace("\"settled\":true", "\"settled\":false")
    });
    // Now what is published says the same as it: whatever it counted twice would be a difference.
    let same = tempfile::tempdir().unwrap();
    let path = rebuild(&broker, same.path(), &options()).unwrap().path;
    let published = directory.path().join("gen-000001");
    fs::remove_dir_all(&published).unwrap();
    fs::rename(path, published).unwrap();
    let report = rebuild(&broker, directory.path(), &options()).unwrap();
    assert!(report.resumed && matches!(report.compared, Comparison::Equal { .. }), "{report:?}");
    let (digest, waiting) = outcome_of(&log.records);
    assert_eq!(report.digest, digest);
    assert_eq!(report.quarantine.keys().cloned().collect::<Vec<_>>(), waiting);
}

/// Nothing comes behind it, so that nobody knows whether it was an event: it stops not even who is to stop at what waits.
#[test]
fn a_record_that_is_set_aside_at_the_end_is_told_and_stops_nobody() {
    let broker = Broker::start();
    let mut log = transcript(100, 88);
    write_nonsense(&mut log, OWNER);
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let stopping = ReplayOptions { stop_at_quarantine: true, ..options() };
    let report = rebuild(&broker, directory.path(), &stopping).unwrap();
    assert!(report.published && report.quarantine.keys().next().is_none(), "{report:?}");
    let unproven: Vec<_> = report.checkpoint.sources().filter(|(_, at)| at.is_end_unproven()).collect();
    assert_eq!((unproven.len(), report.checkpoint.set_aside()), (1, 1));
    assert_eq!(&*unproven[0].0.topic, "owners.events");
}

/// A follower goes on with what a replay has parked.
#[test]
fn what_a_replay_has_parked_goes_on_waiting() {
    let broker = Broker::start();
    let mut log = broken_transcript(300, 85);
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let report = rebuild(&broker, directory.path(), &options()).unwrap();
    let before = log.records.len();
    for key in report.quarantine.keys() {
        log.write(&joined(key.key.parse().unwrap()));
        log.write(&paid_in(
            Uuid::from_u128(u128::from(key.since_position)),
            key.key.parse().unwrap(),
            OWNER,
            1,
        ));
    }
    broker.write(&log.records[before..]);
    let generation = Arc::new(open(&report.path));
    let follower = follow(&broker, &generation);
    until_events(&generation, report.events + (log.records.len() - before) as u64);
    follower.stop().unwrap();
    assert_eq!((generation.digest(), parked(&generation)), outcome_of(&log.records));
    assert_eq!(generation.digest(), digest_of(&log.records));
}
