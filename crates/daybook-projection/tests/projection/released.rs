//! Events leave the quarantine: projected by a program that can, or left out for ever.

use std::sync::Arc;
use std::time::Duration;

use daybook_projection::follower::{Repair, RepairError};
use daybook_projection::quarantine::{
    EventName, PARKED_EVENTS_PER_KEY_MAX, ReleaseError, Released, SkippedEvent, leave_out, release,
    release_all,
};
use daybook_projection::{Digest, Generation, ParkedKey, Projection, ReadModel};
use uuid::Uuid;

use crate::broken::parked;
use crate::broker::{Broker, until_events};
use crate::domain::{self, departed, joined};
use crate::follow::{follow, until_following, until_stopped};
use crate::log::{Log, Record, fresh, open, project, project_as, source_of};
use crate::parks::{write_nonsense, write_unknown};
use crate::toy::{BREAKS_AT_14, LAMP, LAMPS, Switched, UNBREAKABLE, lamps, record, record_of};

const OWNER: Uuid = Uuid::from_u128(0x77);
const NEIGHBOUR: Uuid = Uuid::from_u128(0x79);
/// Longer than anything here takes.
const WAIT: Duration = Duration::from_secs(60);
/// The lamp breaks twice.
const SWITCHED: [u8; 6] = [2, 13, 3, 13, 4, 5];

fn records(switched: &[u8]) -> Vec<Record> {
    (0..).zip(switched).map(|(position, times)| record(position, *times)).collect()
}

fn followed(projection: Projection<Switched>, switched: &[u8]) -> (tempfile::TempDir, Generation) {
    let directory = tempfile::tempdir().unwrap();
    let generation = lamps(&directory.path().join("gen"));
    project_as(projection, &generation, &records(switched));
    (directory, generation)
}

fn state(generation: &Generation) -> (Digest, Vec<ParkedKey>) {
    assert_eq!(generation.recount_digest().unwrap(), generation.digest(), "kept up to date");
    (generation.digest(), parked(generation))
}

fn named(generation: &Generation, name: &str) -> SkippedEvent {
    let name: EventName = name.parse().unwrap();
    generation.quarantine().find(&name, "a test", "2026-11-26T20:00:00Z").unwrap()
}

#[test]
fn released_rows_equal_those_of_a_log_that_was_never_broken() {
    let (directory, generation) = followed(LAMPS, &SWITCHED);
    assert_eq!(parked(&generation)[0].waiting, 5);
    let released = release(&generation, UNBREAKABLE, &LAMP.to_string()).unwrap();
    assert_eq!(released, Released { projected: 5, left_out: 0, waiting: 0 });
    let (_other, never_broken) = followed(UNBREAKABLE, &SWITCHED);
    assert_eq!(state(&generation), state(&never_broken));
    assert_eq!(generation.checkpoint(), never_broken.checkpoint());
    // And they stay so: nothing waits any more, and what comes is projected.
    drop(generation);
    let generation = Generation::open(&directory.path().join("gen"), &LAMPS.layout(), "a test").unwrap();
    assert!(generation.quarantine().is_empty());
    project_as(UNBREAKABLE, &generation, &records(&[2, 13, 3, 13, 4, 5, 6]));
    let (_other, never_broken) = followed(UNBREAKABLE, &[2, 13, 3, 13, 4, 5, 6]);
    assert_eq!(state(&generation), state(&never_broken));
}

#[test]
fn a_release_that_still_fails_changes_nothing_and_says_why() {
    let (_directory, generation) = followed(LAMPS, &SWITCHED);
    let before = state(&generation);
    let error = release(&generation, LAMPS, &LAMP.to_string()).unwrap_err();
    assert!(matches!(error, ReleaseError::StillFails { .. }), "{error}");
    let sentence = error.to_string();
    assert!(sentence.contains("lamps/0 offset 1: ") && sentence.contains("broken"), "{sentence}");
    assert_eq!(state(&generation), before);
    let nobody = release(&generation, LAMPS, "nobody").unwrap_err();
    assert!(matches!(nobody, ReleaseError::NotParked { .. }), "{nobody}");
}

#[test]
fn what_a_newer_program_can_project_is_released_when_it_opens() {
    let (_directory, generation) = followed(LAMPS, &SWITCHED);
    let before = state(&generation);
    let nothing = release_all(&generation, LAMPS).unwrap();
    assert_eq!(nothing, Released { projected: 0, left_out: 0, waiting: 5 });
    assert_eq!((state(&generation), generation.quarantine().releases()), (before, 0), "nothing is written");
    let released = release_all(&generation, UNBREAKABLE).unwrap();
    assert_eq!(released, Released { projected: 5, left_out: 0, waiting: 0 });
    let (_other, never_broken) = followed(UNBREAKABLE, &SWITCHED);
    assert_eq!(state(&generation), state(&never_broken));
    assert_eq!(release_all(&generation, UNBREAKABLE).unwrap(), Released::default());
}

/// An opening is not to write once for each of ten thousand keys.
#[test]
fn many_keys_are_released_in_few_batches_and_each_as_far_as_it_can_be() {
    const KEYS: u64 = 600;
    let directory = tempfile::tempdir().unwrap();
    let generation = lamps(&directory.path().join("gen"));
    let switched = |key: u64| if key % 100 == 7 { vec![13, 14, 2] } else { vec![13] };
    let all = (0..KEYS).flat_map(|key| switched(key).into_iter().map(move |times| (key, times)));
    let records: Vec<_> = (0..)
        .zip(all)
        .map(|(position, (key, times))| record_of(Uuid::from_u128(key.into()), position, times))
        .collect();
    project_as(LAMPS, &generation, &records);
    let released = release_all(&generation, BREAKS_AT_14).unwrap();
    assert_eq!(released, Released { projected: KEYS, left_out: 0, waiting: 2 * KEYS / 100 });
    let other = lamps(&directory.path().join("other"));
    project_as(BREAKS_AT_14, &other, &records);
    assert_eq!(state(&generation), state(&other));

    let released = release_all(&generation, UNBREAKABLE).unwrap();
    assert_eq!(released.projected, 2 * KEYS / 100);
    let batches = generation.quarantine().releases();
    assert!(batches < KEYS / 10, "{batches}");
}

#[test]
fn what_waits_behind_an_event_that_is_left_out_is_projected_up_to_the_next_broken_one() {
    let (directory, generation) = followed(LAMPS, &SWITCHED);
    let first = named(&generation, "lamps/0@1");
    let released = leave_out(&generation, LAMPS, vec![first.clone()]).unwrap();
    assert_eq!(released, Released { projected: 1, left_out: 1, waiting: 3 });
    let key = &parked(&generation)[0];
    assert_eq!((key.since_position, key.waiting), (3, 3));
    assert!(key.reason.contains("broken"), "{key:?}");
    assert_eq!(LAMPS.inspect(&generation, LAMP).unwrap()[0].1, 5);

    // Whoever follows from the start and leaves it out has the same.
    let other = tempfile::tempdir().unwrap();
    let again = lamps(&other.path().join("gen"));
    leave_out(&again, LAMPS, vec![first.clone()]).unwrap();
    project_as(LAMPS, &again, &records(&SWITCHED));
    assert_eq!(state(&generation), state(&again));

    let second = named(&generation, "lamps/0@3");
    let both = vec![first, second];
    assert_eq!(leave_out(&generation, LAMPS, both.clone()).unwrap().projected, 2);
    // Said again, as whoever opens it does, it changes nothing.
    assert_eq!(leave_out(&generation, LAMPS, both.clone()).unwrap(), Released::default());
    let after = state(&generation);
    assert!(after.1.is_empty());
    drop(generation);
    let generation = Generation::open(&directory.path().join("gen"), &LAMPS.layout(), "a test").unwrap();
    assert_eq!(leave_out(&generation, LAMPS, both).unwrap(), Released::default());
    assert_eq!(state(&generation), after);
}

#[test]
fn a_record_that_tells_nothing_is_left_out_by_its_position() {
    let mut log = Log::default();
    log.write(&joined(NEIGHBOUR));
    write_nonsense(&mut log, OWNER);
    log.write(&joined(OWNER));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gen");
    let generation = fresh(&path);
    project(&generation, &log.records);
    let place = &parked(&generation)[0];
    let skipped = vec![named(&generation, &format!("{}/{}@1", place.topic, place.partition))];
    assert_eq!(skipped[0].event_id, None);
    leave_out(&generation, domain::projection(), skipped.clone()).unwrap();
    drop(generation);
    // Repeated, also after a restart, it is known.
    log.repeat(1);
    log.write(&departed(OWNER));
    let generation = open(&path);
    leave_out(&generation, domain::projection(), skipped.clone()).unwrap();
    project(&generation, &log.records);
    assert_eq!(generation.checkpoint().events(), 4);
    assert!(generation.quarantine().is_empty());

    let again = fresh(&directory.path().join("again"));
    leave_out(&again, domain::projection(), skipped).unwrap();
    project(&again, &log.records);
    assert_eq!(state(&generation), state(&again));
    assert_eq!(again.checkpoint(), generation.checkpoint());
}

#[test]
fn what_is_left_out_is_noted_beside_the_generations() {
    let (_directory, generation) = followed(LAMPS, &SWITCHED);
    let directory = tempfile::tempdir().unwrap();
    let read_model = ReadModel::open(directory.path()).unwrap();
    assert!(read_model.skipped().unwrap().is_empty());
    let first = named(&generation, "lamps/0@1");
    assert_eq!(read_model.note_skipped(first.clone()).unwrap(), std::slice::from_ref(&first));
    let read_model = ReadModel::open(directory.path()).unwrap();
    assert_eq!(read_model.skipped().unwrap(), std::slice::from_ref(&first));
    // Said again, for another reason: the first one stays.
    let again = SkippedEvent { why: "again".to_owned(), ..first.clone() };
    assert_eq!(read_model.note_skipped(again).unwrap(), std::slice::from_ref(&first));
    assert_eq!(read_model.skipped().unwrap(), std::slice::from_ref(&first));
    let second = named(&generation, "lamps/0@3");
    assert_eq!(read_model.note_skipped(second.clone()).unwrap(), [first, second.clone()]);
    std::fs::write(directory.path().join("SKIPPED"), "[{").unwrap();
    for refused in [read_model.skipped(), read_model.note_skipped(second)] {
        let sentence = refused.unwrap_err().to_string();
        assert!(sentence.contains("SKIPPED") && sentence.contains("restore it"), "{sentence}");
    }
    let damaged = std::fs::read(directory.path().join("SKIPPED")).unwrap();
    assert_eq!(damaged, b"[{", "left as it was found, for whoever can mend it");
}

/// The bound on one key was reached; leaving the broken event out empties it, and the log is followed on.
#[test]
fn a_projection_that_stopped_goes_on_once_there_is_room() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    let generation = Arc::new(fresh(&directory.path().join("gen")));
    let mut log = Log::default();
    write_unknown(&mut log, OWNER);
    for _ in 0..PARKED_EVENTS_PER_KEY_MAX {
        log.write(&joined(OWNER));
    }
    log.write(&joined(NEIGHBOUR));
    broker.write(&log.records);
    let follower = follow(&broker, &generation);
    assert_eq!(until_stopped(&follower).slug(), "quarantine-full");
    let repairs = follower.repairing();
    let refused = repairs.ask(Repair::Release(OWNER.to_string()), WAIT).unwrap_err();
    assert!(matches!(refused, RepairError::Release(ReleaseError::StillFails { .. })), "{refused}");
    let (topic, partition) = crate::log::topic_and_partition(source_of(&joined(OWNER)));
    let skipped = vec![named(&generation, &format!("{topic}/{partition}@0"))];
    let released = repairs.ask(Repair::LeaveOut(skipped), WAIT).unwrap();
    assert_eq!((released.left_out, released.projected), (1, PARKED_EVENTS_PER_KEY_MAX - 1));
    until_events(&generation, PARKED_EVENTS_PER_KEY_MAX + 2);
    until_following(&follower);
    follower.stop().unwrap();
    assert!(generation.quarantine().is_empty());
}

#[test]
fn a_follower_releases_while_it_follows() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    let generation = Arc::new(fresh(&directory.path().join("gen")));
    let mut log = Log::default();
    write_unknown(&mut log, OWNER);
    broker.write(&log.records);
    let follower = follow(&broker, &generation);
    until_events(&generation, 1);
    let repairs = follower.repairing();
    let leave_out = Repair::LeaveOut(vec![named(
        &generation,
        &format!("owners.events/{}@0", { crate::log::topic_and_partition(source_of(&joined(OWNER))).1 }),
    )]);
    assert_eq!(repairs.ask(leave_out, WAIT).unwrap().left_out, 1);
    log.write(&joined(OWNER));
    broker.write(&log.records[1..]);
    until_events(&generation, 2);
    assert!(generation.quarantine().is_empty());
    follower.stop().unwrap();
}
