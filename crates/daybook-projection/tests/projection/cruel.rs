//! Killed at any moment, it goes on as if nothing had been.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use daybook_kafka::Kafka;
use daybook_projection::{Follower, ReadModel, ReplayOptions, replay};
use daybook_service::Stop;

use crate::broken::{broken_transcript, outcome_of, parked};
use crate::broker::{Broker, until_events};
use crate::domain;
use crate::log::{Dice, Log, fresh, open};
use crate::rebuilds::{options, rebuild};
use crate::resume::events;
use crate::transcript::transcript;

const DIRECTORY: &str = "PROJECTION_TEST_DIRECTORY";
const BROKERS: &str = "PROJECTION_TEST_BROKERS";
const KILLS: usize = 12;
const REPLAY_KILLS: usize = 200;
const PARKING_REPLAY_KILLS: usize = 40;
/// About how long a replay of this test takes, from its start to its end.
const REPLAY_MS_MAX: u64 = 400;

/// Not a test by itself: what others start and kill.
#[test]
fn child_that_follows_until_it_is_killed() {
    let Some((kafka, directory)) = of_parent() else { return };
    let generation = Arc::new(open(Path::new(&directory)));
    let _follower = Follower::start(&kafka, generation, domain::projection()).unwrap();
    std::thread::sleep(crate::broker::DEADLINE);
}

/// Not a test by itself, either.
#[test]
fn child_that_replays_until_it_is_killed() {
    let Some((kafka, directory)) = of_parent() else { return };
    let read_model = ReadModel::open(Path::new(&directory)).unwrap();
    replay(&kafka, &read_model, domain::projection(), &little_memory(), |_| {}, &Stop::default()).unwrap();
}

/// What a parent hands over; `None` where the child is run as a test.
fn of_parent() -> Option<(Kafka, String)> {
    let (directory, brokers) = (std::env::var(DIRECTORY).ok()?, std::env::var(BROKERS).ok()?);
    let kafka = Kafka { brokers, options: Vec::new(), topic_prefix: "test.".to_owned(), embedded: true };
    Some((kafka, directory))
}

fn start_child(name: &str, broker: &Broker, directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([&format!("cruel::{name}"), "--exact"])
        .envs([(DIRECTORY, directory.to_str().unwrap()), (BROKERS, &broker.kafka.brokers)])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// So that runs are written.
fn little_memory() -> ReplayOptions {
    ReplayOptions { memory_bytes_max: 1 << 20, ..options() }
}

#[test]
fn a_follower_killed_at_random_moments_ends_with_the_same_rows() {
    killed_at_random_moments(&transcript(6_000, 41));
}

#[test]
fn a_follower_killed_at_random_moments_keeps_what_waits() {
    killed_at_random_moments(&broken_transcript(6_000, 45));
}

fn killed_at_random_moments(log: &Log) {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gen");
    drop(fresh(&path));
    let mut dice = Dice(42);
    for chunk in log.records.chunks(log.records.len() / KILLS) {
        broker.write(chunk);
        let child = start_child("child_that_follows_until_it_is_killed", &broker, &path);
        kill_after(child, Duration::from_millis(20 + dice.roll(400)));
    }
    let generation = Arc::new(open(&path));
    let follower = Follower::start(&broker.kafka, generation.clone(), domain::projection()).unwrap();
    until_events(&generation, events(&log.records));
    follower.stop().unwrap();
    assert_eq!((generation.digest(), parked(&generation)), outcome_of(&log.records));
}

#[test]
fn a_replay_killed_at_random_moments_goes_on_and_is_never_half_published() {
    replay_killed_at_random_moments(&transcript(6_000, 43), REPLAY_KILLS);
}

#[test]
fn a_replay_killed_at_random_moments_parks_the_same() {
    replay_killed_at_random_moments(&broken_transcript(6_000, 46), PARKING_REPLAY_KILLS);
}

fn replay_killed_at_random_moments(log: &Log, kills: usize) {
    let broker = Broker::start();
    broker.write(&log.records);
    let (expected, expected_parked) = outcome_of(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let mut dice = Dice(44);
    for kill in 0..kills {
        let child = start_child("child_that_replays_until_it_is_killed", &broker, directory.path());
        kill_after(child, Duration::from_millis(dice.roll(REPLAY_MS_MAX)));
        // Whatever is named is whole.
        let read_model = ReadModel::open(directory.path()).unwrap();
        if let Some(current) = read_model.current().unwrap() {
            let generation = open(&read_model.path_of(&current));
            assert_eq!(generation.digest(), expected, "after kill {kill}");
            assert_eq!(parked(&generation), expected_parked, "after kill {kill}");
            if kill % 16 == 0 {
                assert_eq!(generation.recount_digest().unwrap(), expected, "after kill {kill}");
            }
        }
    }
    let report = rebuild(&broker, directory.path(), &options()).unwrap();
    assert_eq!(report.digest, expected);
    let read_model = ReadModel::open(directory.path()).unwrap();
    assert!(read_model.unfinished().unwrap().is_empty());
    let current = read_model.current().unwrap().unwrap();
    let generation = open(&read_model.path_of(&current));
    assert_eq!(generation.recount_digest().unwrap(), expected);
    assert_eq!(parked(&generation), expected_parked);
}

/// The moment is what the test is about; nothing waits for it.
fn kill_after(mut child: Child, delay: Duration) {
    std::thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
}
