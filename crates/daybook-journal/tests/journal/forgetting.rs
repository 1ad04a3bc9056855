//! Idempotency keys are forgotten segment by segment, and be they so few that all lie in the one that is written.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use daybook_journal::{Journal, Retention};

use crate::support::{NOW_MS, append, assert_has, begin, copy, directory, flip, hash, segments};

/// Eight keys at most, none forgotten before 5 seconds.
const FEW: Retention = Retention {
    journal_bytes_max: 1024 * 1024,
    kept_bytes_max: 128 * 1024,
    kept_events_max: 1_000,
    kept_age_ms_max: 1_000_000,
    key_age_ms_min: 5_000,
    key_age_ms_max: 1_000_000,
    clock_ahead_ms: 0,
    keys_max: 8,
};

/// The next segment can be begun: its zeros are there.
fn await_spare(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !path.join("spare").exists() {
        assert!(Instant::now() < deadline, "no spare segment was made");
        std::thread::yield_now();
    }
}

/// Retires until the live segment was changed: the journal may learn of its spare a moment after that is there.
fn retire_until_changed(journal: &mut Journal, path: &Path, now_ms: u64) {
    let (before, deadline) = (segments(path).len(), Instant::now() + Duration::from_secs(30));
    while segments(path).len() == before {
        assert!(Instant::now() < deadline, "the segment was not changed");
        assert!(!journal.retire(&FEW, &[4, 4], now_ms).unwrap());
    }
}

#[test]
fn keys_that_all_lie_in_the_segment_that_is_written_are_forgotten_once_they_are_old_enough() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 8, 10);
    journal.index_synced(8);
    retire_until_changed(&mut journal, directory.path(), NOW_MS + 1_000);
    assert_has(&journal, 8);
    assert!(journal.retire(&FEW, &[4, 4], NOW_MS + 6_000).unwrap());
    assert_eq!((journal.reader().keys(), segments(directory.path()).len()), (0, 1));
    for reader in [journal.reader(), begin(copy(directory.path()).path()).unwrap().reader()] {
        assert!(reader.outcome(&hash(7)).unwrap().is_none());
        // The events are still within their bounds.
        assert!((0..4).all(|position| reader.events(0, position).unwrap().is_some()));
    }
}

#[test]
fn the_segment_is_not_changed_again_and_again_while_no_keys_come() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 8, 10);
    // The index was never synced, so that nothing can go.
    retire_until_changed(&mut journal, directory.path(), NOW_MS);
    append(&mut journal, 8, 9, 10);
    for _ in 0..20 {
        await_spare(directory.path());
        journal.retire(&FEW, &[4, 4], NOW_MS + 10_000).unwrap();
    }
    assert_eq!(segments(directory.path()).len(), 2);
    append(&mut journal, 9, 10, 10);
    retire_until_changed(&mut journal, directory.path(), NOW_MS + 10_000);
    assert_eq!(segments(directory.path()).len(), 3);
}

#[test]
fn the_segment_is_not_changed_early_while_there_is_room_for_keys() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 7, 10);
    for _ in 0..20 {
        await_spare(directory.path());
        journal.retire(&FEW, &[4, 4], NOW_MS + 10_000).unwrap();
    }
    assert_eq!(segments(directory.path()).len(), 1);
}

#[test]
fn without_a_spare_segment_it_goes_on_in_the_present_one() {
    let directory = directory();
    let journal = begin(directory.path()).unwrap();
    await_spare(directory.path());
    drop(journal);
    fs::create_dir_all(directory.path().join("spare.new/in-the-way")).unwrap();
    let mut journal = begin(directory.path()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while journal.no_room().is_none() {
        assert!(Instant::now() < deadline, "a spare segment was made");
        std::thread::yield_now();
    }
    append(&mut journal, 0, 8, 10);
    let newest = segments(directory.path()).pop();
    // The first one, in which nothing is, goes.
    while journal.retire(&FEW, &[4, 4], NOW_MS).unwrap() {}
    assert_eq!(segments(directory.path()).pop(), newest);
    append(&mut journal, 8, 9, 10);
    assert_has(&journal, 9);
}

#[test]
fn keys_of_a_segment_whose_footer_was_damaged_meanwhile_are_forgotten_with_it() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 30, 3000);
    journal.index_synced(30);
    let first = segments(directory.path()).remove(0);
    flip(&first, fs::metadata(&first).unwrap().len() as usize - 4096);
    let all = journal.reader().keys();
    let nothing_kept = Retention { kept_events_max: 0, ..FEW };
    assert!(journal.retire(&nothing_kept, &[15, 15], NOW_MS + 10_000).unwrap());
    let reader = journal.reader();
    assert!(reader.keys() < all && reader.keys() > 0);
    assert!(reader.outcome(&hash(0)).unwrap().is_none());
    assert!(reader.outcome(&hash(29)).unwrap().is_some());
}
