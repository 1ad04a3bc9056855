//! What is not needed goes, and nothing else: a partition that stands still and a quiet one are carried.

use daybook_journal::{Journal, Retention};

use crate::support::{NOW_MS, append, assert_has, begin, copy, directory, flip, group, hash, id, segments};

const RETENTION: Retention = Retention {
    journal_bytes_max: 1024 * 1024,
    kept_bytes_max: 128 * 1024,
    kept_events_max: 10,
    kept_age_ms_max: 1_000_000,
    key_age_ms_min: 0,
    key_age_ms_max: 0,
    clock_ahead_ms: 0,
    keys_max: 1_000,
};

fn retire_all(journal: &mut Journal, retention: &Retention, acknowledged: [u64; 2], now_ms: u64) -> usize {
    journal.index_synced(journal.last_number());
    (0..100).take_while(|_| journal.retire(retention, &acknowledged, now_ms).unwrap()).count()
}

#[test]
fn segments_that_nothing_needs_are_removed_and_a_start_does_not_miss_them() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 100, 3000);
    let before = segments(directory.path()).len();
    let gone = retire_all(&mut journal, &RETENTION, [50, 50], NOW_MS);
    assert!(gone > 3, "{gone}");
    // A note may have begun another segment.
    assert!(segments(directory.path()).len() <= before - gone + 1);
    let reader = journal.reader();
    assert!(reader.bytes() <= 3 * 64 * 1024, "{}", reader.bytes());
    assert!(reader.outcome(&hash(0)).unwrap().is_none());
    for _ in 0..2 {
        let killed = copy(directory.path());
        let journal = begin(killed.path()).unwrap();
        assert!(journal.reader().events(0, 49).unwrap().is_some());
        assert_eq!(journal.reader().kept_from(0), reader.kept_from(0));
    }
}

#[test]
fn a_partition_that_stands_still_is_carried_and_read_in_order() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 3, 500);
    let mut next = [2, 1];
    for round in 0..60 {
        // Only partition 1 goes on.
        let group = |position| daybook_journal::Group {
            events: vec![daybook_journal::Event {
                partition: 1,
                position,
                id: id(1, position),
                key: String::new(),
                traceparent: String::new(),
                value: vec![0; 9000],
            }],
            ..daybook_journal::Group::default()
        };
        journal.append(group(next[1]), NOW_MS + round).unwrap();
        next[1] += 1;
        retire_all(&mut journal, &RETENTION, [0, next[1]], NOW_MS);
        assert!(journal.reader().bytes() <= RETENTION.kept_bytes_max + 2 * 64 * 1024);
    }
    for killed in [false, true] {
        let copied = copy(directory.path());
        let again = killed.then(|| begin(copied.path()).unwrap());
        let reader = again.as_ref().unwrap_or(&journal).reader();
        assert_eq!(reader.kept_from(0), Some(0));
        for position in 0..2 {
            let events = reader.events(0, position).unwrap().expect("it was never sent");
            assert!(events.iter().any(|event| event.id == id(0, position)));
        }
    }
}

#[test]
fn what_is_carried_again_with_newer_events_before_and_gaps_between_is_found_by_its_position() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    let event = |partition, position, bytes| daybook_journal::Event {
        partition,
        position,
        id: id(partition, position),
        key: String::new(),
        traceparent: String::new(),
        value: vec![0; bytes],
    };
    // Partition 0 is slow, and Kafka has nothing of it; partition 1 is fast and sent at once.
    for round in 0..90 {
        let events = vec![event(0, round, 100), event(1, round, 9000)];
        journal
            .append(daybook_journal::Group { events, ..daybook_journal::Group::default() }, NOW_MS)
            .unwrap();
        retire_all(&mut journal, &RETENTION, [0, round + 1], NOW_MS);
    }
    assert!(segments(directory.path()).len() < 8);
    for killed in [false, true] {
        let copied = copy(directory.path());
        let again = killed.then(|| begin(copied.path()).unwrap());
        let reader = again.as_ref().unwrap_or(&journal).reader();
        for position in 0..90 {
            let events = reader.events(0, position).unwrap();
            assert!(events.is_some(), "killed {killed}: position {position} was never sent and is not found");
        }
    }
}

/// A journal, and the segments of it that were declared as not needed and are still there.
fn with_unneeded_segments() -> (tempfile::TempDir, Vec<std::path::PathBuf>) {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 100, 3000);
    let before = copy(directory.path());
    let gone = retire_all(&mut journal, &RETENTION, [50, 50], NOW_MS);
    let after = copy(directory.path());
    let unneeded = segments(before.path()).into_iter().take(gone).map(|segment| {
        let back = after.path().join(segment.file_name().unwrap());
        std::fs::copy(&segment, &back).unwrap();
        back
    });
    let unneeded = unneeded.collect();
    (after, unneeded)
}

#[test]
fn a_segment_that_is_not_needed_stays_until_the_record_that_says_so_was_written_again() {
    let (directory, unneeded) = with_unneeded_segments();
    let spare = directory.path().join("spare");
    // The thread that makes it may not have been done.
    if spare.exists() {
        std::fs::remove_file(&spare).unwrap();
    }
    std::fs::create_dir_all(spare.join("in-the-way")).unwrap();
    begin(directory.path()).unwrap_err();
    assert!(unneeded.iter().all(|segment| segment.exists()));
    std::fs::remove_dir_all(&spare).unwrap();
    begin(directory.path()).unwrap();
    assert!(!unneeded.iter().any(|segment| segment.exists()));
}

#[test]
fn a_segment_that_is_not_needed_and_could_not_be_removed_is_no_gap() {
    let (directory, unneeded) = with_unneeded_segments();
    std::fs::remove_file(&unneeded[1]).unwrap();
    begin(directory.path()).unwrap();
    assert!(!unneeded.iter().any(|segment| segment.exists()));
}

#[test]
fn what_the_index_does_not_have_or_a_young_key_holds_stays() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 60, 3000);
    assert!(!journal.retire(&RETENTION, &[30, 30], NOW_MS).unwrap(), "the index was never synced");
    let young = Retention { key_age_ms_min: 5_000, key_age_ms_max: 5_000, ..RETENTION };
    assert_eq!(retire_all(&mut journal, &young, [30, 30], NOW_MS), 0);
    assert_has(&journal, 60);
    assert!(retire_all(&mut journal, &young, [30, 30], NOW_MS + 10_000) > 1);
}

#[test]
fn while_nothing_is_sent_nothing_is_carried_in_circles() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 100, 3000);
    assert_eq!(retire_all(&mut journal, &RETENTION, [0, 0], NOW_MS), 0);
    assert_has(&journal, 100);
}

#[test]
fn no_record_is_read_to_find_out_that_nothing_goes_or_that_nothing_is_needed() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 100, 3000);
    journal.index_synced(journal.last_number());
    // Whoever reads it cannot.
    flip(&segments(directory.path())[0], daybook_journal::BLOCK_BYTES + 200);
    assert!(!journal.retire(&RETENTION, &[0, 0], NOW_MS).unwrap());
    assert!(journal.retire(&RETENTION, &[50, 50], NOW_MS).unwrap());
}

#[test]
fn of_too_many_keys_the_oldest_go_once_they_are_old_enough() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 60, 3000);
    let many = Retention { key_age_ms_min: 5_000, key_age_ms_max: 1_000_000, ..RETENTION };
    let few = Retention { keys_max: 40, ..many.clone() };
    assert_eq!(retire_all(&mut journal, &few, [30, 30], NOW_MS + 1_000), 0, "all are young");
    assert_eq!(retire_all(&mut journal, &many, [30, 30], NOW_MS + 10_000), 0, "there are not too many");
    assert!(retire_all(&mut journal, &few, [30, 30], NOW_MS + 10_000) > 0);
    assert!(journal.reader().keys() <= 40);
    assert!(journal.reader().keys() > 20, "no more than needed");
}

#[test]
fn a_crowded_journal_keeps_no_sent_events_and_frees_itself() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    // What is kept by number alone would be more than the journal may have.
    let retention = Retention {
        journal_bytes_max: 512 * 1024,
        kept_bytes_max: u64::MAX,
        kept_events_max: 1_000,
        ..RETENTION
    };
    append(&mut journal, 0, 200, 3000);
    assert!(journal.reader().bytes() > retention.journal_bytes_max);
    let gone = retire_all(&mut journal, &retention, [100, 100], NOW_MS);
    assert!(gone > 0 && journal.reader().bytes() <= retention.journal_bytes_max / 2);
    assert_eq!(retire_all(&mut journal, &retention, [100, 100], NOW_MS), 0, "and then it rests");
}

#[test]
fn a_clock_that_was_ahead_for_a_while_holds_nothing_for_ever() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    let ahead = NOW_MS * 2;
    for number in 0..40 {
        journal.append(group(number, 3000), if number == 3 { ahead } else { NOW_MS + number }).unwrap();
    }
    // The last record of the first segment decides about its age.
    for number in 40..60 {
        journal.append(group(number, 3000), if number == 44 { ahead } else { NOW_MS + number }).unwrap();
    }
    let retention =
        Retention { key_age_ms_min: 1_000, key_age_ms_max: 1_000, kept_bytes_max: 0, ..RETENTION };
    assert_eq!(retire_all(&mut journal, &retention, [30, 30], NOW_MS + 500), 0, "all keys are young");
    retire_all(&mut journal, &retention, [30, 30], NOW_MS + 5_000);
    assert_eq!(segments(directory.path()).len(), 1);
}

#[test]
fn sent_events_that_cannot_be_read_keep_no_segment() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 40, 3000);
    let damaged = segments(directory.path())[0].clone();
    flip(&damaged, 3 * daybook_journal::BLOCK_BYTES + 200);
    let quiet = Retention { kept_bytes_max: 100 * 1024, kept_events_max: 2, ..RETENTION };
    journal.index_synced(journal.last_number());
    // Kafka lacks something of it: it stays, and that is said.
    assert!(journal.retire(&quiet, &[7, 7], NOW_MS).is_err());
    assert!(retire_all(&mut journal, &quiet, [8, 8], NOW_MS) > 0);
    assert!(!damaged.exists());
}
