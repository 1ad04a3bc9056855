//! Rebuilding from offset zero on a broker.

use std::sync::Arc;

use daybook_event::Event as _;
use daybook_projection::{
    Follower, Generation, ReadModel, ReplayError, ReplayOptions, ReplayProgress, StopReason, replay,
};
use daybook_service::Stop;

use crate::broker::{Broker, until_events};
use crate::domain::{self, BankEvent, joined};
use crate::log::{HOLDER, digest_of, sealed, source_of};
use crate::rebuilds::{options, rebuild};
use crate::resume::events;
use crate::transcript::transcript;

#[test]
fn the_same_rows_as_by_following_and_it_is_published() {
    let broker = Broker::start();
    let log = transcript(500, 31);
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let report = rebuild(&broker, directory.path(), &options()).unwrap();
    assert_eq!((report.generation.as_str(), report.published), ("gen-000001", true));
    assert_eq!(report.digest, digest_of(&log.records));
    let built = Generation::open(&report.path, &domain::layout(), HOLDER).unwrap();
    assert_eq!(built.recount_digest().unwrap(), report.digest);
    drop(built);
    assert_eq!(report.events, events(&log.records));
    assert_eq!(report.events + report.duplicates, 500);
    assert!(report.bytes_on_disk > 0);

    // Whoever opens it goes on where the replay ended.
    let generation = Arc::new(Generation::open(&report.path, &domain::layout(), HOLDER).unwrap());
    assert_eq!(generation.checkpoint(), report.checkpoint);
    let mut more = log.clone();
    more.write(&joined(uuid::Uuid::from_u128(1)));
    broker.write(&more.records[500..]);
    let follower = Follower::start(&broker.kafka, generation.clone(), domain::projection()).unwrap();
    until_events(&generation, report.events + 1);
    follower.stop().unwrap();
    assert_eq!(generation.digest(), digest_of(&more.records));
}

#[test]
fn a_tiny_cache_gives_the_same_rows_and_stays_tiny() {
    let broker = Broker::start();
    let log = transcript(500, 32);
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let read_model = ReadModel::open(directory.path()).unwrap();
    let tiny = ReplayOptions { memory_bytes_max: 0, ..options() };
    let never = Stop::default();
    let report = replay(&broker.kafka, &read_model, domain::projection(), &tiny, |_| {}, &never).unwrap();
    assert_eq!(report.digest, digest_of(&log.records));
}

#[test]
fn replaying_again_builds_the_next_and_keeps_the_one_before() {
    let broker = Broker::start();
    broker.write(&transcript(100, 33).records);
    let directory = tempfile::tempdir().unwrap();
    let digests = [1, 2, 3].map(|_| rebuild(&broker, directory.path(), &options()).unwrap().digest);
    assert_eq!(digests[0], digests[2]);
    let read_model = ReadModel::open(directory.path()).unwrap();
    assert_eq!(read_model.names().unwrap(), ["gen-000002", "gen-000003"]);
    assert_eq!(read_model.current().unwrap().as_deref(), Some("gen-000003"));
}

#[test]
fn without_publishing_and_into_another_directory() {
    let broker = Broker::start();
    broker.write(&transcript(100, 34).records);
    let directory = tempfile::tempdir().unwrap();
    let aside = rebuild(&broker, directory.path(), &ReplayOptions { publish: false, ..options() }).unwrap();
    let elsewhere = directory.path().join("gen-000007");
    let into = ReplayOptions { into: Some(elsewhere.clone()), ..options() };
    let report = rebuild(&broker, directory.path(), &into).unwrap();
    assert_eq!((report.path, report.published, report.digest), (elsewhere, false, aside.digest));
    assert_eq!(ReadModel::open(directory.path()).unwrap().current().unwrap(), None);
    let again = rebuild(&broker, directory.path(), &into).unwrap_err();
    assert!(again.to_string().contains("not empty"), "{again}");
}

#[test]
fn progress_reaches_its_total_and_can_be_cancelled() {
    let broker = Broker::start();
    broker.write(&transcript(300, 35).records);
    let directory = tempfile::tempdir().unwrap();
    let read_model = ReadModel::open(directory.path()).unwrap();
    let mut told: Vec<ReplayProgress> = Vec::new();
    let never = Stop::default();
    replay(
        &broker.kafka,
        &read_model,
        domain::projection(),
        &options(),
        |progress| told.push(progress),
        &never,
    )
    .unwrap();
    let last = told.last().unwrap();
    assert_eq!((told[0].done, last.done, last.total), (0, 300, 300));

    let cancelled = Stop::default();
    let cancel = |_| cancelled.request();
    let error =
        replay(&broker.kafka, &read_model, domain::projection(), &options(), cancel, &cancelled).unwrap_err();
    assert!(matches!(error, ReplayError::Cancelled { .. }), "{error}");
    assert_eq!(read_model.current().unwrap().as_deref(), Some("gen-000001"));
    // The next one goes on with what it left behind.
    let report = rebuild(&broker, directory.path(), &options()).unwrap();
    assert_eq!((report.generation.as_str(), report.resumed), ("gen-000002", true));
}

#[test]
fn a_log_that_cannot_be_projected_changes_nothing() {
    let broker = Broker::start();
    let mut log = transcript(50, 36);
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    rebuild(&broker, directory.path(), &options()).unwrap();
    let event: BankEvent = joined(uuid::Uuid::from_u128(1));
    let source = source_of(&event);
    log.write_value(source, event.key(), sealed(&event, source, 1_000));
    broker.write(&log.records[50..]);
    let error = rebuild(&broker, directory.path(), &options()).unwrap_err();
    assert!(matches!(&error, ReplayError::Stopped(reason) if reason.slug() == "gap"), "{error}");
    let read_model = ReadModel::open(directory.path()).unwrap();
    assert_eq!(read_model.current().unwrap().as_deref(), Some("gen-000001"));
}

#[test]
fn missing_topics_and_other_partition_counts_are_refused() {
    let broker = Broker::without_topics();
    let directory = tempfile::tempdir().unwrap();
    let error = rebuild(&broker, directory.path(), &options()).unwrap_err();
    assert!(error.to_string().contains("test.owners.events does not exist"), "{error}");
    broker.create_topics();
    let error =
        rebuild(&broker, directory.path(), &ReplayOptions { partitions: 5, ..options() }).unwrap_err();
    assert!(error.to_string().contains("--partitions 2"), "{error}");
}

/// The embedded broker drops the oldest records of a large partition: from zero is then not from the beginning.
#[test]
fn a_log_without_its_front_is_refused_with_the_remedy() {
    let broker = Broker::start();
    broker.write(&crate::transcript::more_than_the_embedded_broker_keeps().records);
    let directory = tempfile::tempdir().unwrap();
    let error = rebuild(&broker, directory.path(), &options()).unwrap_err();
    assert!(
        matches!(&error, ReplayError::Stopped(StopReason::FrontDeleted { embedded: true, .. })),
        "{error}"
    );
    assert!(error.to_string().contains("--brokers"), "{error}");
    assert!(ReadModel::open(directory.path()).unwrap().names().unwrap().is_empty());
}

#[test]
fn two_replays_at_once_are_refused() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    let read_model = ReadModel::open(directory.path()).unwrap();
    let _at_work = read_model.lock_for_replay("projector, pid 1").unwrap();
    let error = rebuild(&broker, directory.path(), &options()).unwrap_err();
    assert!(error.is_in_use() && error.to_string().contains("projector, pid 1"), "{error}");
}
