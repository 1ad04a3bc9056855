//! The format as it lies on the disk: a journal that was written once is read for ever.

use std::fs;
use std::path::Path;

use daybook_journal::{Group, Mark, find};
use uuid::Uuid;

use crate::support::{NOW_MS, assert_has, begin, copy, directory, group, segments};

const GOLDEN: &str = "tests/golden/v1";

/// Two segments: one closed in order, with a note at its end, and one that was not.
fn write(path: &Path) {
    let mut journal = begin(path).unwrap();
    for number in 0..3 {
        journal.append(group(number, 20), NOW_MS + number).unwrap();
    }
    let mark = Mark { offset: 5, epoch: 2, next_position: 2, last_id: Some(Uuid::from_u128(9)) };
    journal.reader().sent(0, 2, Some(mark));
    journal.index_synced(3);
    journal.append(Group::default(), NOW_MS + 3).unwrap();
    journal.close(NOW_MS + 4).unwrap();
    let mut journal = begin(path).unwrap();
    journal.append(group(3, 20), NOW_MS + 5).unwrap();
}

/// A file without the zeros that fill it up to its size.
fn content(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

#[test]
fn what_is_written_today_is_the_golden_journal_byte_for_byte() {
    let directory = directory();
    write(directory.path());
    // For a new version of the format, into a new directory.
    if std::env::var_os("DAYBOOK_WRITE_GOLDEN").is_some() {
        fs::create_dir_all(GOLDEN).unwrap();
        for segment in segments(directory.path()) {
            fs::write(Path::new(GOLDEN).join(segment.file_name().unwrap()), content(&segment)).unwrap();
        }
    }
    let (golden, written) = (segments(Path::new(GOLDEN)), segments(directory.path()));
    assert_eq!(golden.len(), written.len());
    for (golden, written) in golden.iter().zip(&written) {
        assert_eq!(content(golden), content(written), "{}", golden.display());
    }
}

#[test]
fn the_golden_journal_is_read() {
    let directory = copy(Path::new(GOLDEN));
    let found = find(directory.path()).unwrap();
    assert_eq!((found.last_number(), found.index_synced(), found.id()), (6, 3, Some(Uuid::from_u128(77))));
    let state = found.partitions()[0];
    assert_eq!((state.next, state.acknowledged, state.mark.offset, state.mark.epoch), (2, 2, 5, 2));
    assert_has(&begin(directory.path()).unwrap(), 4);
}
