//! A journal that has less than the log goes on behind what the log has.

use std::path::Path;

use daybook_journal::{Beginning, Event, Group, Journal, LogEnd, PartitionState, Retention, find};
use uuid::Uuid;

use crate::support::{NOW_MS, append, begin, copy, directory, id, identity, segments, settings};

/// The first partition of the log goes up to before position 20; the second has nothing.
fn in_log() -> [LogEnd; 2] {
    [LogEnd { next: 20, last_id: Some(id(0, 19)) }, LogEnd::default()]
}

fn begin_behind(path: &Path, in_log: &[LogEnd]) -> Journal {
    let (identity, new_id, initial) = (identity(), Uuid::from_u128(77), [PartitionState::default(); 2]);
    let beginning = Beginning { identity: &identity, new_id, initial: &initial, in_log, now_ms: NOW_MS };
    find(path).unwrap().begin(&beginning, &settings()).unwrap()
}

fn event(position: u64) -> Group {
    let value = vec![b'v'; 3_000];
    let (key, traceparent) = (position.to_string(), String::new());
    let event = Event { partition: 0, position, id: id(0, position), key, traceparent, value };
    Group { events: vec![event], ..Group::default() }
}

/// Where the two partitions stand: next position, last id, what is acknowledged.
fn states(states: &[PartitionState]) -> [(u64, Option<Uuid>, u64); 2] {
    [0, 1].map(|partition: usize| {
        let PartitionState { next, last_id, acknowledged, .. } = states[partition];
        (next, last_id, acknowledged)
    })
}

/// A journal that has positions 0 to 4 and 0 to 4, killed; begun with behind the log.
fn behind(path: &Path) -> Journal {
    append(&mut begin(path).unwrap(), 0, 10, 3_000);
    begin_behind(path, &in_log())
}

const BEHIND: [(u64, Option<Uuid>, u64); 2] =
    [(20, Some(Uuid::from_u128(1 << 64 | 19)), 20), (5, Some(Uuid::from_u128(2 << 64 | 4)), 0)];

#[test]
fn a_journal_that_has_less_goes_on_behind_the_log_and_lacks_what_is_between() {
    let directory = directory();
    let mut journal = behind(directory.path());
    let reader = journal.reader();
    assert_eq!(states(&reader.partitions()), BEHIND);
    assert_eq!(states(find(directory.path()).unwrap().partitions()), BEHIND);
    assert!(journal.append(event(5), NOW_MS).is_err());
    journal.append(event(20), NOW_MS).unwrap();
    let has = |position| reader.events(0, position).unwrap().is_some();
    assert_eq!([4, 5, 19, 20, 21].map(has), [true, false, false, true, false]);
}

#[test]
fn a_journal_that_has_as_much_or_more_is_not_changed() {
    let directory = directory();
    append(&mut begin(directory.path()).unwrap(), 0, 10, 3_000);
    let in_log = [5, 2].map(|next| LogEnd { next, last_id: Some(Uuid::nil()) });
    let journal = begin_behind(directory.path(), &in_log);
    let expected = [(5, Some(id(0, 4)), 0), (5, Some(id(1, 4)), 0)];
    assert_eq!(states(&journal.reader().partitions()), expected);
}

#[test]
fn a_journal_that_is_made_anew_begins_behind_the_log() {
    let directory = directory();
    let mut journal = begin_behind(directory.path(), &in_log());
    assert_eq!(states(&journal.reader().partitions()), [BEHIND[0], (0, None, 0)]);
    journal.append(event(20), NOW_MS).unwrap();
    assert_eq!(journal.reader().kept_from(0), Some(20));
}

#[test]
fn every_later_start_accepts_it_killed_or_closed() {
    let directory = directory();
    let mut journal = behind(directory.path());
    for killed in 0..2 {
        let again = begin(copy(directory.path()).path()).unwrap();
        assert_eq!(states(&again.reader().partitions()), BEHIND, "killed {killed}");
        // The second time with a record of its own.
        journal.note(NOW_MS).unwrap();
    }
    journal.append(event(20), NOW_MS).unwrap();
    journal.close(NOW_MS).unwrap();
    let mut again = begin(directory.path()).unwrap();
    assert_eq!(states(&again.reader().partitions())[0], (21, Some(id(0, 20)), 20));
    again.append(event(21), NOW_MS).unwrap();
    let reader = again.reader();
    assert!((5..20).all(|position| reader.events(0, position).unwrap().is_none()));
    assert!([4, 20, 21].iter().all(|position| reader.events(0, *position).unwrap().is_some()));
}

#[test]
fn what_lies_before_the_gap_is_carried_and_the_segment_behind_it_may_be_the_oldest() {
    let directory = directory();
    let mut journal = behind(directory.path());
    journal.append(event(20), NOW_MS).unwrap();
    journal.index_synced(journal.last_number());
    let retention = Retention {
        journal_bytes_max: 1024 * 1024,
        kept_bytes_max: 0,
        kept_events_max: 0,
        kept_age_ms_max: 0,
        key_age_ms_min: 0,
        key_age_ms_max: 0,
        clock_ahead_ms: 0,
        keys_max: 1_000,
    };
    // Of the second partition Kafka lacks the last one; of the first it has all before the gap but one.
    while journal.retire(&retention, &[4, 4], NOW_MS + 1_000).unwrap() {}
    assert_eq!(segments(directory.path()).len(), 1);
    let killed = copy(directory.path());
    let again = begin(killed.path()).unwrap();
    for reader in [journal.reader(), again.reader()] {
        assert_eq!(states(&reader.partitions())[0], (21, Some(id(0, 20)), 20));
        let has = |position| reader.events(0, position).unwrap().is_some();
        assert_eq!([3, 4, 5, 19, 20].map(has), [false, true, false, false, true]);
        assert!(reader.events(1, 4).unwrap().is_some());
        assert_eq!(reader.kept_from(0), Some(4));
    }
}
