//! Starts that came to nothing, and segments that the disk does not give: what lies before them is gone on with.

use std::fs;

use daybook_journal::{Tail, find, find_readable};

use crate::support::{NOW_MS, append, assert_has, begin, copy, directory, flip, identity, segments};

const BLOCK: usize = daybook_journal::BLOCK_BYTES;

#[test]
fn starts_that_came_to_nothing_leave_one_segment() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 5, 10);
    drop(journal);
    for _ in 0..4 {
        drop(begin(directory.path()).unwrap());
        assert_eq!(segments(directory.path()).len(), 2);
    }
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 5, 9, 10);
    drop(journal);
    assert_has(&begin(directory.path()).unwrap(), 9);
    assert_eq!(segments(directory.path()).len(), 3);
}

#[test]
fn a_journal_without_any_record_begins_in_its_first_segment() {
    let directory = directory();
    for _ in 0..3 {
        drop(begin(directory.path()).unwrap());
        assert_eq!(segments(directory.path()).len(), 1);
    }
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 1, 10);
    drop(journal);
    assert_has(&begin(directory.path()).unwrap(), 1);
}

#[test]
fn a_copied_record_that_was_lost_lies_where_it_was_copied_from() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 5, 10);
    let killed = copy(directory.path());
    drop(begin(killed.path()).unwrap());
    let newest = segments(killed.path()).pop().unwrap();
    flip(&newest, BLOCK + 100);
    // Whether there was anything behind it nobody can tell, so it is told as a torn end.
    let found = find(killed.path()).unwrap();
    assert!(matches!(found.tail(), Tail::Torn { .. }));
    assert_eq!(found.last_number(), 5);
    let mut journal = begin(killed.path()).unwrap();
    assert_has(&journal, 5);
    append(&mut journal, 5, 7, 10);
    assert_has(&begin(copy(killed.path()).path()).unwrap(), 7);
}

#[test]
fn a_segment_that_the_disk_does_not_give_is_passed_over() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 65, 3000);
    journal.close(NOW_MS).unwrap();
    let second = &segments(directory.path())[1];
    fs::remove_file(second).unwrap();
    fs::create_dir(second).unwrap();
    let found = find(directory.path()).unwrap();
    let said: Vec<_> = found.damage().map(ToString::to_string).collect();
    assert!(said.len() == 1 && said[0].contains("the disk does not give its bytes"), "{said:?}");
    assert_eq!(find_readable(directory.path()).unwrap().last_number(), found.last_number());
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 65, 66, 10);
}

#[test]
fn a_segment_that_was_cut_in_its_first_record_is_passed_over() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 5, 10);
    drop(journal);
    // The second segment begins with a copy of record 5.
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 5, 9, 10);
    drop(journal);
    begin(directory.path()).unwrap().close(NOW_MS).unwrap();
    let second = fs::File::options().write(true).open(&segments(directory.path())[1]).unwrap();
    second.set_len(BLOCK as u64 + 10).unwrap();
    assert!(find(directory.path()).unwrap().damage().count() > 0);
    assert_eq!(find_readable(directory.path()).unwrap().last_number(), 10);
    let journal = begin(directory.path()).unwrap();
    let numbers: Vec<_> = journal.reader().records_from(1).flatten().map(|record| record.number).collect();
    assert!(numbers.starts_with(&[1, 2, 3, 4]) && numbers.ends_with(&[9, 10]), "{numbers:?}");
}

#[test]
fn a_segment_whose_header_is_lost_is_of_whom_the_one_before_is() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 5, 10);
    drop(journal);
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 5, 9, 10);
    drop(journal);
    flip(&segments(directory.path())[1], 20);
    let found = find_readable(directory.path()).unwrap();
    assert_eq!(found.identity(), Some(&identity()));
    assert_eq!(found.last_number(), 9);
}

#[test]
fn a_damaged_copy_hides_nothing_of_what_it_was_made_of() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 5, 10);
    drop(journal);
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 5, 9, 10);
    journal.close(NOW_MS).unwrap();
    // In the frame and in the body of the copy of record 5, which the closed segment begins with.
    for byte in [BLOCK + 10, BLOCK + 100] {
        let damaged = copy(directory.path());
        flip(&segments(damaged.path())[1], byte);
        assert_eq!(find(damaged.path()).unwrap().damage().count(), 1, "byte {byte}");
        assert_has(&begin(damaged.path()).unwrap(), 9);
    }
}
