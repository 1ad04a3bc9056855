//! What a disk does to files that lie there: nothing of it is taken for what was written, and the place is named.

use std::fs;

use daybook_journal::{OpenError, Tail, find, find_readable};

use crate::support::{NOW_MS, append, assert_has, begin, copy, directory, flip, segments};

const BLOCK: usize = daybook_journal::BLOCK_BYTES;

#[test]
fn a_torn_end_is_told_and_cut_off() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 3, 10);
    // Blocks: header, records 1 to 3.
    for byte in [3 * BLOCK, 3 * BLOCK + 90] {
        let torn = copy(directory.path());
        flip(&segments(torn.path())[0], byte);
        let found = find(torn.path()).unwrap();
        assert!(matches!(found.tail(), Tail::Torn { number: 3, .. }), "{:?}", found.tail());
        assert_eq!(found.last_number(), 2);
        let mut journal = begin(torn.path()).unwrap();
        assert_has(&journal, 2);
        // The number is given again, and what was cut off does not come back.
        append(&mut journal, 2, 4, 10);
        let killed = copy(torn.path());
        assert_has(&begin(killed.path()).unwrap(), 4);
    }
}

#[test]
fn a_damaged_record_before_others_is_named_and_nothing_is_cut() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 4, 10);
    for number in 1..4 {
        let damaged = copy(directory.path());
        flip(&segments(damaged.path())[0], number * BLOCK + 100);
        match find(damaged.path()) {
            Err(OpenError::Acknowledged { number: found, byte, .. }) => {
                assert_eq!((found, byte), (number as u64, (number * BLOCK) as u64));
            }
            other => panic!("record {number}: {other:?}"),
        }
    }
}

#[test]
fn every_flipped_byte_of_a_live_segment_is_noticed_or_harmless() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 4, 10);
    let whole = fs::read(&segments(directory.path())[0]).unwrap();
    for byte in (0..5 * BLOCK).step_by(89) {
        let damaged = copy(directory.path());
        flip(&segments(damaged.path())[0], byte);
        match find(damaged.path()) {
            Err(_) => {}
            Ok(found) if matches!(found.tail(), Tail::Torn { .. }) => assert_eq!(found.last_number(), 3),
            Ok(_) => {
                assert_eq!(whole[byte], 0, "byte {byte}");
                assert_has(&begin(damaged.path()).unwrap(), 4);
            }
        }
    }
}

#[test]
fn a_damaged_record_of_a_closed_segment_is_named_when_it_is_read() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 40, 3000);
    journal.close(NOW_MS).unwrap();
    flip(&segments(directory.path())[0], BLOCK + 200);
    let journal = begin(directory.path()).unwrap();
    let reader = journal.reader();
    let error = reader.events(0, 0).unwrap_err();
    assert!(error.to_string().contains("at byte 4096"), "{error}");
    assert!(reader.outcome(&crate::support::hash(0)).is_err());
    assert!(reader.events(1, 0).unwrap().is_some());
    assert!(reader.records_from(1).next().unwrap().is_err());
    assert!(reader.records_from(2).all(|record| record.is_ok()));
}

#[test]
fn a_damaged_footer_costs_a_reading_and_nothing_else() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 40, 3000);
    journal.close(NOW_MS).unwrap();
    let first = segments(directory.path()).remove(0);
    let bytes = fs::metadata(&first).unwrap().len() as usize;
    for byte in [bytes - BLOCK + 4, bytes - 2 * BLOCK + 20] {
        let damaged = copy(directory.path());
        flip(&segments(damaged.path())[0], byte);
        assert_eq!(find(damaged.path()).unwrap().tail(), &Tail::Whole);
        assert_has(&begin(damaged.path()).unwrap(), 40);
    }
}

#[test]
fn of_a_record_that_lies_in_two_segments_the_later_one_counts() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 5, 10);
    let killed = copy(directory.path());
    drop(begin(killed.path()).unwrap());
    // Where the process was killed, record 5 had not come to the disk; the footer behind it has.
    flip(&segments(killed.path())[0], 5 * BLOCK + 100);
    assert_has(&begin(killed.path()).unwrap(), 5);
    flip(&segments(killed.path())[0], 4 * BLOCK + 100);
    let journal = begin(killed.path()).unwrap();
    let numbers: Vec<_> =
        journal.reader().records_from(1).map(|record| record.map(|r| r.number).ok()).collect();
    assert_eq!(numbers, [Some(1), Some(2), Some(3), None, Some(5)]);
}

#[test]
fn a_segment_that_is_gone_is_missed() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 65, 3000);
    journal.close(NOW_MS).unwrap();
    let count = segments(directory.path()).len();
    assert!(count > 3);
    for gone in 0..count - 1 {
        let damaged = copy(directory.path());
        fs::remove_file(&segments(damaged.path())[gone]).unwrap();
        match find(damaged.path()) {
            Err(OpenError::Missing { segment, .. }) => assert_eq!(segment, gone as u64 + 1),
            other => panic!("segment {}: {other:?}", gone + 1),
        }
    }
    // Of the newest one only the index or the log can know.
    let damaged = copy(directory.path());
    fs::remove_file(&segments(damaged.path())[count - 1]).unwrap();
    assert!(find(damaged.path()).unwrap().last_number() < 65);
}

#[test]
fn a_segment_of_another_journal_is_not_taken() {
    let (here, there) = (directory(), directory());
    for directory in [&here, &there] {
        let mut journal = begin(directory.path()).unwrap();
        append(&mut journal, 0, 30, 3000);
        journal.close(NOW_MS).unwrap();
    }
    // The same id, since the test gives it; but another history.
    let mut journal = begin(there.path()).unwrap();
    append(&mut journal, 30, 33, 3000);
    journal.close(NOW_MS).unwrap();
    let mut journal = begin(here.path()).unwrap();
    append(&mut journal, 30, 32, 2999);
    journal.close(NOW_MS).unwrap();
    let mut journal = begin(here.path()).unwrap();
    append(&mut journal, 32, 33, 3000);
    journal.close(NOW_MS).unwrap();
    let newest = segments(here.path()).pop().unwrap();
    let older = segments(here.path()).len() - 2;
    fs::copy(&segments(there.path())[older], &segments(here.path())[older]).unwrap();
    let refused = find(here.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Line { .. }), "{refused} {}", newest.display());
}

#[test]
fn a_segment_that_was_written_behind_another_history_is_not_taken() {
    let (here, there) = (directory(), directory());
    for (directory, bytes) in [(&here, 10), (&there, 11)] {
        let mut journal = begin(directory.path()).unwrap();
        append(&mut journal, 0, 3, bytes);
        journal.close(NOW_MS).unwrap();
        begin(directory.path()).unwrap().close(NOW_MS).unwrap();
    }
    fs::copy(&segments(there.path())[1], &segments(here.path())[1]).unwrap();
    let refused = find(here.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Line { number: 5, .. }), "{refused}");
}

#[test]
fn who_takes_over_reads_what_lies_behind_damage() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 5, 10);
    let numbers = |path: &std::path::Path| {
        let reader = find_readable(path).unwrap().into_reader();
        reader.records_from(1).filter_map(Result::ok).map(|record| record.number).collect::<Vec<_>>()
    };
    // A record in the middle, the header, and a file that does not belong there.
    let damaged = copy(directory.path());
    flip(&segments(damaged.path())[0], 2 * BLOCK + 100);
    assert_eq!(numbers(damaged.path()), [1, 3, 4, 5]);
    flip(&segments(damaged.path())[0], 20);
    assert_eq!(numbers(damaged.path()), [1, 3, 4, 5]);
    fs::write(damaged.path().join("notes.txt"), "mine").unwrap();
    assert_eq!(numbers(damaged.path()), [1, 3, 4, 5]);
    // Events are found by their positions as well, and the ends are known.
    let reader = find_readable(damaged.path()).unwrap().into_reader();
    assert_eq!(reader.partitions().iter().map(|state| state.next).collect::<Vec<_>>(), [3, 2]);
    for (partition, position, is_there) in
        [(0, 0, true), (1, 0, false), (0, 1, true), (1, 1, true), (0, 2, true)]
    {
        let found = reader.events(partition, position).unwrap();
        assert_eq!(found.is_some(), is_there, "partition {partition} position {position}");
    }
}

/// Segment, numbers, events and keys of what is lost.
type Lost = (u64, std::ops::Range<u64>, Vec<(usize, std::ops::Range<u64>)>, usize);

fn lost(path: &std::path::Path) -> Vec<Lost> {
    let lost = begin(path).unwrap().reader().check();
    lost.into_iter().map(|lost| (lost.segment, lost.numbers, lost.events, lost.keys)).collect()
}

#[test]
fn what_is_lost_with_damaged_records_is_told() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 40, 3000);
    journal.close(NOW_MS).unwrap();
    assert_eq!(lost(copy(directory.path()).path()), []);
    // Records 2, 3 and 5 of the first segment, and the last of it, which is number 15.
    let damaged = copy(directory.path());
    for record in [2, 3, 5, 15] {
        flip(&segments(damaged.path())[0], record * BLOCK + 200);
    }
    let expected = [
        (1, 2..4, vec![(0, 1..2), (1, 0..1)], 2),
        (1, 5..6, vec![(0, 2..3)], 1),
        (1, 15..16, vec![(0, 7..8)], 1),
    ];
    assert_eq!(lost(damaged.path()), expected);
}

#[test]
fn what_lies_in_another_record_as_well_is_not_lost() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 5, 10);
    let killed = copy(directory.path());
    drop(begin(killed.path()).unwrap());
    flip(&segments(killed.path())[0], 5 * BLOCK + 100);
    assert_eq!(lost(killed.path()), []);
}

#[test]
fn who_takes_over_reads_segments_whose_headers_are_damaged() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 6, 10);
    drop(journal);
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 6, 12, 10);
    let states = journal.reader().partitions();
    for damaged in [&[0][..], &[1], &[0, 1]] {
        let copied = copy(directory.path());
        damaged.iter().for_each(|segment| flip(&segments(copied.path())[*segment], 28));
        let reader = daybook_journal::find_readable(copied.path()).unwrap().into_reader();
        for (partition, state) in states.iter().enumerate() {
            let next = reader.partitions().get(partition).map(|state| state.next);
            assert_eq!(next, Some(state.next), "partition {partition}, {damaged:?}");
            for position in 0..state.next {
                assert!(
                    reader.events(partition, position).unwrap().is_some(),
                    "{partition} {position}, {damaged:?}"
                );
            }
        }
    }
}

#[test]
fn a_segment_that_was_cut_before_others_is_named() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 6, 10);
    journal.close(NOW_MS).unwrap();
    drop(begin(directory.path()).unwrap());
    // The third record is gone, cut, or whole with nothing behind it.
    for (byte, lost) in [(3 * BLOCK, 3), (3 * BLOCK + 20, 3), (3 * BLOCK + 300, 4)] {
        let cut = copy(directory.path());
        let file = &segments(cut.path())[0];
        fs::File::options().write(true).open(file).unwrap().set_len(byte as u64).unwrap();
        match find(cut.path()) {
            Err(OpenError::Acknowledged { path, number, .. }) => assert_eq!((&path, number), (file, lost)),
            other => panic!("byte {byte}: {other:?}"),
        }
    }
}

#[test]
fn a_record_of_which_only_what_fills_its_block_up_was_cut_off_is_read() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 5, 100);
    let killed = copy(directory.path());
    let live = segments(killed.path()).pop().unwrap();
    let file = fs::OpenOptions::new().write(true).open(live).unwrap();
    file.set_len(6 * BLOCK as u64 - 88).unwrap();
    let reader = find(killed.path()).unwrap().into_reader();
    assert!(reader.events(0, 2).unwrap().is_some());
    assert_has(&begin(killed.path()).unwrap(), 5);
}
