//! Reading back: a record is decoded once for all partitions that it has events of, nothing piles up in memory, and a segment
//! that is removed meanwhile is no error.

use std::sync::Arc;

use daybook_journal::{BLOCK_BYTES, Event, Group, Journal, Retention, Settings, find};

use crate::support::{NOW_MS, begin, begin_as, directory, flip, group, hash, id, identity, segments};

/// Begins again, with room in memory for two records of [`write`].
fn begin_again(path: &std::path::Path) -> Journal {
    let settings = Settings { segment_bytes: 64 * 1024, recent_bytes_max: 7_000 };
    begin_as(find(path).unwrap(), &identity(), &settings).unwrap()
}

/// Records of one block each, with an event of each partition.
fn write(path: &std::path::Path, count: u64) {
    let mut journal = begin(path).unwrap();
    for number in 0..count {
        let events = [2 * number, 2 * number + 1].map(|event| group(event, 1_500).events.remove(0));
        journal.append(Group { events: events.to_vec(), ..Group::default() }, NOW_MS).unwrap();
    }
    journal.close(NOW_MS).unwrap();
}

#[test]
fn what_was_read_back_is_not_decoded_again_for_the_next_partition() {
    let directory = directory();
    write(directory.path(), 5);
    let reader = begin_again(directory.path()).reader();
    let first = reader.events(0, 0).unwrap().unwrap();
    // Whoever read the file again would see it.
    flip(&segments(directory.path())[0], BLOCK_BYTES + 200);
    let second = reader.events(1, 0).unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &second));
}

#[test]
fn what_was_read_back_goes_when_others_come() {
    let directory = directory();
    write(directory.path(), 5);
    let reader = begin_again(directory.path()).reader();
    (0..3).for_each(|position| drop(reader.events(0, position).unwrap().unwrap()));
    for number in 0..3 {
        flip(&segments(directory.path())[0], (1 + number) * BLOCK_BYTES + 200);
    }
    assert!(reader.events(1, 1).unwrap().is_some());
    assert!(reader.events(1, 2).unwrap().is_some());
    assert!(reader.events(1, 0).is_err(), "the first of three has gone");
}

/// An event of partition 0 that is never sent, and the keys of many groups of partition 1 that fill segments.
fn write_and_retire(journal: &mut Journal, rounds: u64) {
    let retention = Retention {
        journal_bytes_max: 128 * 1024,
        kept_bytes_max: 0,
        kept_events_max: 0,
        kept_age_ms_max: 0,
        key_age_ms_min: 0,
        key_age_ms_max: 0,
        clock_ahead_ms: 0,
        keys_max: 1_000,
    };
    journal.append(group(0, 5_000), NOW_MS).unwrap();
    for position in 0..rounds {
        let odd = group(2 * position + 1, 20_000);
        journal.append(odd, NOW_MS).unwrap();
        journal.index_synced(journal.last_number());
        journal.retire(&retention, &[0, position + 1], NOW_MS).unwrap();
    }
}

#[test]
fn a_segment_that_is_removed_while_it_is_read_is_no_error() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    let reader = journal.reader();
    let is_it = |event: &Event| event.id == id(0, 0);
    std::thread::scope(|scope| {
        let writing = scope.spawn(move || write_and_retire(&mut journal, 100));
        let mut seen = false;
        while !writing.is_finished() {
            let events = reader.events(0, 0).unwrap();
            assert!(!seen || events.is_some(), "what was never sent is gone");
            seen = events.is_some_and(|events| events.iter().any(is_it));
            for number in 0..200 {
                reader.outcome(&hash(number)).unwrap();
            }
        }
    });
    assert!(reader.events(0, 0).unwrap().is_some());
}
