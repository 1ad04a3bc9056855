//! Power cuts: of what was written and not synced, any pieces of 512 bytes may be there and any others not.
//!
//! Here an end is made by hand, piece by piece, from two images of the directory: before an append and behind it. What a
//! whole service writes is recorded by the system tests.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use crate::support::{append, assert_has, begin, copy, directory, segments};

const PIECE: usize = 512;

/// Puts those pieces of `after` into `before` that `kept` says.
fn mix(before: &Path, after: &Path, kept: impl Fn(usize) -> bool) {
    for segment in segments(after) {
        let old = before.join(segment.file_name().unwrap());
        let (mut mixed, new) = (fs::read(&old).unwrap(), fs::read(&segment).unwrap());
        mixed.resize(new.len(), 0);
        for (piece, at) in (0..new.len()).step_by(PIECE).enumerate() {
            if kept(piece) {
                mixed[at..at + PIECE].copy_from_slice(&new[at..at + PIECE]);
            }
        }
        fs::write(&old, mixed).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn an_append_that_was_cut_off_is_there_whole_or_not_at_all(
        before in 0_u64..6, bytes in 0_usize..9_000, pieces in proptest::collection::vec(any::<bool>(), 128),
    ) {
        let here = directory();
        let mut journal = begin(here.path()).unwrap();
        append(&mut journal, 0, before, 600);
        let acknowledged = copy(here.path());
        append(&mut journal, before, before + 1, bytes);
        mix(acknowledged.path(), here.path(), |piece| pieces[piece % pieces.len()]);
        let mut cut = begin(acknowledged.path()).unwrap();
        let there = cut.reader().records_from(1).count() as u64;
        prop_assert!(there == before || there == before + 1);
        assert_has(&cut, there);
        append(&mut cut, there, there + 3, 50);
        assert_has(&begin(copy(acknowledged.path()).path()).unwrap(), there + 3);
    }
}

#[test]
fn a_start_that_is_killed_between_any_two_of_its_steps_begins_anew() {
    let here = directory();
    let mut journal = begin(here.path()).unwrap();
    append(&mut journal, 0, 5, 100);
    let killed = copy(here.path());
    drop(begin(copy(killed.path()).path()).unwrap());
    // The fresh segment half made.
    fs::write(killed.path().join("segment.new"), [0; 5000]).unwrap();
    assert_has(&begin(copy(killed.path()).path()).unwrap(), 5);
    // The spare used up, and half made anew.
    let _ = fs::remove_file(killed.path().join("spare"));
    fs::write(killed.path().join("spare.new"), [0; 5000]).unwrap();
    assert_has(&begin(copy(killed.path()).path()).unwrap(), 5);
    // The fresh segment in its place, the old one not closed.
    let old = fs::read(&segments(killed.path())[0]).unwrap();
    let second = begin(killed.path()).unwrap();
    assert_eq!(segments(killed.path()).len(), 2);
    fs::write(&segments(killed.path())[0], old).unwrap();
    assert_has(&begin(copy(killed.path()).path()).unwrap(), 5);
    drop(second);
}
