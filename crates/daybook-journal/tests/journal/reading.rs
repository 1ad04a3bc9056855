//! Reading back: a record is decoded once for all partitions that it has events of, and nothing piles up in memory.

use std::sync::Arc;

use daybook_journal::{BLOCK_BYTES, Group, Journal, Settings, find};

use crate::support::{NOW_MS, begin, begin_as, directory, flip, group, identity, segments};

/// Begins again, with room in memory for two records of [`write`].
fn begin_again(path: &std::path::Path) -> Journal {
    let settings = Settings { segment_bytes: 64 * 1024, recent_bytes_max: 7_000 };
    begin_as(find(path).unwrap(), 0, &identity(), &settings).unwrap()
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
