//! What a disk does to files that lie there: nothing of it is taken for what was written, and the place is named.

use std::fs;

use daybook_journal::{OpenError, Tail, find, find_readable, print};

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
fn a_newest_segment_that_must_have_been_there_is_missed() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 40, 3000);
    let killed = copy(directory.path());
    let count = segments(killed.path()).len();
    fs::remove_file(&segments(killed.path())[count - 1]).unwrap();
    let missed = find(killed.path()).unwrap().lost_newest();
    assert!(
        matches!(missed, Some(OpenError::Missing { segment, .. }) if segment == count as u64),
        "{missed:?}"
    );
    // What ended in order, ended with that segment.
    journal.close(NOW_MS).unwrap();
    assert!(find(directory.path()).unwrap().lost_newest().is_none());
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

/// What is said about the damage in a directory, and which of groups `0..count` a journal that begins there has.
fn passed_over(path: &std::path::Path, count: u64) -> (Vec<String>, Vec<u64>) {
    let found = find(path).unwrap();
    let said = found.damage().map(ToString::to_string).collect();
    let reader = begin(path).unwrap().reader();
    let has = |number: &u64| {
        let (partition, position) = ((number % 2) as usize, number / 2);
        let is_missing = !reader.missing(partition, position..position + 1).is_empty();
        assert_eq!(reader.events(partition, position).is_ok_and(|events| events.is_none()), is_missing);
        !is_missing
    };
    (said, (0..count).filter(has).collect())
}

#[test]
fn a_segment_that_is_gone_is_missed_and_the_others_are_gone_on_with() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 65, 3000);
    let states = journal.reader().partitions();
    journal.close(NOW_MS).unwrap();
    let count = segments(directory.path()).len();
    assert!(count > 3);
    for gone in 0..count - 1 {
        let damaged = copy(directory.path());
        fs::remove_file(&segments(damaged.path())[gone]).unwrap();
        let (said, has) = passed_over(damaged.path(), 65);
        assert!(said[0].contains(&format!("lacks segment {},", gone + 1)) && said.len() == 1, "{said:?}");
        assert!((44..65).contains(&has.len()), "segment {gone}: {has:?}");
        let mut printed = Vec::new();
        print(damaged.path(), &mut printed).unwrap();
        assert!(String::from_utf8(printed).unwrap().contains(&format!("damaged: {}", said[0])));
        let journal = begin(damaged.path()).unwrap();
        assert_eq!(journal.reader().partitions(), states, "it goes on where it was");
    }
    // Of the newest one only the index or the log can know.
    let damaged = copy(directory.path());
    fs::remove_file(&segments(damaged.path())[count - 1]).unwrap();
    assert!(find(damaged.path()).unwrap().last_number() < 65);
}

#[test]
fn a_damaged_header_before_the_newest_segment_costs_no_record() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 65, 3000);
    journal.close(NOW_MS).unwrap();
    let count = segments(directory.path()).len();
    for damaged_at in 0..count - 1 {
        let damaged = copy(directory.path());
        flip(&segments(damaged.path())[damaged_at], 20);
        let (said, has) = passed_over(damaged.path(), 65);
        assert!(said[0].contains(" at byte 0: ") && said.len() == 1, "{said:?}");
        assert_eq!(has.len(), 65);
        assert_has(&begin(damaged.path()).unwrap(), 65);
    }
    let newest = copy(directory.path());
    flip(&segments(newest.path())[count - 1], 20);
    assert!(matches!(find(newest.path()), Err(OpenError::Segment { byte: 0, .. })));
}

#[test]
fn what_is_left_of_a_segment_without_a_footer_is_not_written_over() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 6, 3000);
    journal.close(NOW_MS).unwrap();
    drop(begin(directory.path()).unwrap());
    let first = &segments(directory.path())[0];
    let bytes = fs::metadata(first).unwrap().len() as usize;
    // Its footer, and of its records the third and the last, which says that all is closed.
    for byte in [bytes - BLOCK + 4, 3 * BLOCK + 200, 7 * BLOCK + 10] {
        flip(first, byte);
    }
    let before = fs::read(first).unwrap();
    let (said, has) = passed_over(directory.path(), 6);
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(has, [0, 1, 3, 4, 5]);
    assert_eq!(fs::read(first).unwrap(), before);
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
        let (said, has) = passed_over(cut.path(), 6);
        let named = format!("record {lost} was acknowledged and is damaged");
        assert!(said.len() == 1 && said[0].contains(&named), "byte {byte}: {said:?}");
        assert_eq!(has, (0..lost - 1).collect::<Vec<_>>());
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
