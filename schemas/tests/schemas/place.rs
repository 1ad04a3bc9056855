//! The place in a log that is not quite what it was.

use proptest::prelude::*;
use schemas::place::{Place, Reached, Search, Step};
use schemas::sequence::{Sequence, Verdict};
use uuid::Uuid;

fn id(position: u64) -> Uuid {
    Uuid::from_u128(0x1000 + u128::from(position))
}

/// A reader that has applied `next_position` events up to `next_offset`, and a log of these positions.
fn place(next_offset: i64, next_position: u64, log: &[u64]) -> Place {
    let last_id = next_position.checked_sub(1).map(id);
    let reached = Reached { next_offset, next_position, last_id, low: 0, high: log.len() as i64 };
    search(reached, |offset| log.get(offset as usize).map(|position| (*position, id(*position))))
}

fn search(reached: Reached, record: impl Fn(i64) -> Option<(u64, Uuid)>) -> Place {
    let mut search = Search::begin(reached);
    loop {
        match search.step() {
            Step::Found(place) => return place,
            Step::Look(offset) => search.saw(record(offset)),
        }
    }
}

#[test]
fn a_log_that_is_what_it_was_is_read_on() {
    assert_eq!(place(0, 0, &[]), Place::At(0));
    assert_eq!(place(0, 0, &[0, 1]), Place::At(0));
    assert_eq!(place(2, 2, &[0, 1]), Place::At(2));
    assert_eq!(place(2, 2, &[0, 1, 2]), Place::At(2));
    assert_eq!(place(4, 3, &[0, 1, 2, 1]), Place::At(4), "the last record read was a repetition");
}

#[test]
fn a_log_that_ends_before_what_was_applied_is_waited_for() {
    assert_eq!(place(5, 5, &[0, 1, 2]), Place::Lost);
    assert_eq!(place(5, 5, &[]), Place::Lost);
    assert_eq!(place(1, 0, &[]), Place::At(0), "nothing was applied, so nothing is missing");
}

#[test]
fn offsets_that_moved_back_are_found_by_position() {
    // The log was 0 1 2 1 2, lost its last three records and got 2 and more again.
    assert_eq!(place(5, 3, &[0, 1, 2]), Place::At(3));
    assert_eq!(place(5, 3, &[0, 1, 2, 3, 4, 5]), Place::At(2), "behind one that was applied");
    let long: Vec<u64> = (0..100).collect();
    let Place::At(found) = place(90, 40, &long) else { panic!("it is there") };
    assert!((0..=40).contains(&found), "{found}");
}

#[test]
fn another_event_at_the_last_position_is_read_again() {
    let reached = Reached { next_offset: 2, next_position: 2, last_id: Some(id(1)), low: 0, high: 2 };
    assert_eq!(search(reached, |_| Some((1, id(77)))), Place::At(1));
}

#[test]
fn a_record_that_is_no_event_is_left_to_the_reader() {
    let reached = Reached { next_offset: 2, next_position: 2, last_id: Some(id(1)), low: 0, high: 2 };
    assert_eq!(search(reached, |_| None), Place::At(0));
}

#[test]
fn a_front_that_was_deleted_up_to_the_checkpoint_takes_nothing_away() {
    let reached = Reached { next_offset: 7, next_position: 7, last_id: Some(id(6)), low: 7, high: 9 };
    assert_eq!(search(reached, |_| panic!("nothing to look at")), Place::At(7));
}

/// What a relay may write: it goes on behind the last record, or repeats from further back.
fn relayed(steps: &[(u64, u8)]) -> Vec<u64> {
    let mut log = Vec::new();
    for (back, run) in steps {
        let from = log.last().map_or(0, |last: &u64| (last + 1).saturating_sub(*back));
        log.extend(from..from + u64::from(*run));
    }
    log
}

proptest! {
    /// A reader has read some of a log; the log is cut anywhere and written on. Every event is applied once, in order.
    #[test]
    fn whatever_was_cut_and_repeated_every_event_is_applied_once(
        before in prop::collection::vec((0_u64..4, 1_u8..6), 1..6),
        after in prop::collection::vec((0_u64..4, 1_u8..6), 1..6),
        read in 0.0..=1.0_f64,
        kept in 0.0..=1.0_f64,
    ) {
        let log = relayed(&before);
        let part = |share: f64| (share * log.len() as f64) as usize;
        let mut sequence = Sequence::start();
        for position in &log[..part(read)] {
            if sequence.check(*position, id(*position)) == Ok(Verdict::Apply) {
                sequence.advance(id(*position));
            }
        }
        let (next_position, last_id) = (sequence.next_position(), sequence.last_id());
        let mut healed = log[..part(kept)].to_vec();
        for (back, run) in &after {
            let from = healed.last().map_or(0, |last| (last + 1).saturating_sub(*back));
            healed.extend(from..from + u64::from(*run));
        }
        let highest = healed.iter().max().map_or(0, |last| last + 1);
        let reached = Reached { next_offset: part(read) as i64, next_position, last_id, low: 0, high: healed.len() as i64 };
        match search(reached, |offset| healed.get(offset as usize).map(|position| (*position, id(*position)))) {
            Place::Lost => prop_assert!(healed.last().is_some_and(|last| last + 1 < next_position)),
            Place::At(from) => {
                let mut sequence = Sequence::resume(next_position, last_id);
                for position in &healed[from as usize..] {
                    if sequence.check(*position, id(*position)).map_err(|error| TestCaseError::fail(error.to_string()))? == Verdict::Apply {
                        sequence.advance(id(*position));
                    }
                }
                let last = healed.last().map_or(0, |last| last + 1);
                prop_assert!(sequence.next_position() >= last.max(next_position));
                prop_assert!(sequence.next_position() == highest.max(next_position) || last < highest);
            }
        }
    }
}
