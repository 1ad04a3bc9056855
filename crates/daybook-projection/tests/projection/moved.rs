//! A log that lost its end and got it again has every event at its position, but at another offset. Two brokers stand for
//! the log before and after.

use std::path::Path;

use daybook_projection::verify::verify;
use daybook_projection::{Comparison, ReadModel, ReplayError, ReplayOptions, ReplayProgress, replay};
use daybook_service::Stop;
use uuid::Uuid;

use crate::broker::Broker;
use crate::domain::{self, joined};
use crate::log::{Log, digest_of};
use crate::rebuilds::{options, rebuild};
use crate::transcript::transcript;

const OWNER: Uuid = Uuid::from_u128(0x77);
/// One a second of them is enough to stop a replay before its end.
const EVENTS: usize = 60;
const REPETITIONS: usize = 5;

/// Events of one partition, of which the first comes several times.
fn log(repetitions: usize, events: usize) -> Log {
    let mut log = Log::default();
    log.write(&joined(OWNER));
    (0..repetitions).for_each(|_| log.repeat(0));
    (1..events).for_each(|_| drop(log.write(&joined(OWNER))));
    log
}

fn holding(log: &Log) -> Broker {
    let broker = Broker::start();
    broker.write(&log.records);
    broker
}

#[test]
fn a_build_is_begun_anew_when_the_log_has_moved() {
    let (before, after) = (log(REPETITIONS, EVENTS), log(0, EVENTS + 2 * REPETITIONS));
    let directory = tempfile::tempdir().unwrap();
    let read_model = ReadModel::open(directory.path()).unwrap();
    let cancelled = Stop::default();
    let stop = |progress: ReplayProgress| {
        if progress.done > 0 {
            cancelled.request()
        }
    };
    let slow = ReplayOptions { rate_max: Some(1), ..options() };
    let first = replay(&holding(&before).kafka, &read_model, domain::projection(), &slow, stop, &cancelled)
        .unwrap_err();
    assert!(matches!(first, ReplayError::Cancelled { done, .. } if done > 0), "{first}");

    // Without its end, it is waited for.
    let lost = rebuild(&holding(&log(0, EVENTS / 2)), directory.path(), &options()).unwrap_err();
    assert!(lost.to_string().contains("the log ends at offset"), "{lost}");
    let report = rebuild(&holding(&after), directory.path(), &options()).unwrap();
    assert!(report.published && !report.resumed, "{report:?}");
    assert_eq!(report.digest, digest_of(&after.records));
}

#[test]
fn a_build_that_has_been_read_does_not_need_the_log_as_it_was() {
    let (before, after) = (log(REPETITIONS, EVENTS), log(0, EVENTS));
    let directory = tempfile::tempdir().unwrap();
    let other = holding(&transcript(50, 91));
    rebuild(&other, directory.path(), &options()).unwrap();
    let differs = rebuild(&holding(&before), directory.path(), &options()).unwrap_err();
    assert!(matches!(differs, ReplayError::NotCompared { .. }), "{differs}");
    let because = ReplayOptions { accept_difference: Some("another log".to_owned()), ..options() };
    let report = rebuild(&holding(&after), directory.path(), &because).unwrap();
    assert!(report.published && report.resumed, "{report:?}");
    assert_eq!(report.digest, digest_of(&after.records));
}

#[test]
fn what_was_published_before_the_log_moved_is_compared_by_position() {
    let (before, mut after) = (log(REPETITIONS, EVENTS), log(0, EVENTS));
    let directory = tempfile::tempdir().unwrap();
    rebuild(&holding(&before), directory.path(), &options()).unwrap();
    let broker = holding(&after);
    let sound = verified(&broker, directory.path());
    assert_eq!((sound.is_sound(), sound.events), (true, EVENTS as u64), "{sound:?}");

    let there = after.records.len();
    (0..2 * REPETITIONS).for_each(|_| drop(after.write(&joined(OWNER))));
    broker.write(&after.records[there..]);
    let sound = verified(&broker, directory.path());
    assert_eq!((sound.is_sound(), sound.events), (true, EVENTS as u64), "{sound:?}");
    let report = rebuild(&broker, directory.path(), &options()).unwrap();
    let digest = digest_of(&after.records).to_string();
    assert_eq!(report.compared, Comparison::Equal { with: "gen-000001".to_owned(), digest });
}

fn verified(broker: &Broker, directory: &Path) -> daybook_projection::verify::VerifyReport {
    let read_model = ReadModel::open(directory).unwrap();
    let aside = ReplayOptions { publish: false, ..options() };
    let never = Stop::default();
    verify(&broker.kafka, &read_model, domain::projection(), &aside, 10, |_| {}, &never).unwrap()
}
