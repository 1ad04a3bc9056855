//! The check of positions: next, known, missing, or claimed twice.

use daybook_event::sequence::{RECENT_IDS_MAX, Reached, Sequence, SequenceError, Verdict};
use uuid::Uuid;

fn id(position: u64) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(position))
}

/// A reader that has applied positions 0 to `count` - 1.
fn after(count: u64) -> Sequence {
    let mut sequence = Sequence::default();
    for position in 0..count {
        assert_eq!(sequence.check(0, position, id(position), None), Ok(Verdict::Apply));
        sequence.pass(Verdict::Apply, 0, id(position), position as i64);
    }
    sequence
}

#[test]
fn the_first_position_is_zero() {
    assert_eq!(Sequence::default().check(0, 0, id(0), None), Ok(Verdict::Apply));
    assert_eq!(
        Sequence::default().check(0, 1, id(1), None),
        Err(SequenceError::Gap { expected: 0, found: 1, set_aside: 0 })
    );
    assert_eq!(Sequence::default().next_position(), 0);
    assert_eq!(Sequence::default().last_id(), None);
}

#[test]
fn the_next_position_is_applied() {
    let sequence = after(3);
    assert_eq!(sequence.check(0, 3, id(3), None), Ok(Verdict::Apply));
    assert_eq!(sequence.next_position(), 3);
    assert_eq!(sequence.last_id(), Some(id(2)));
}

#[test]
fn a_check_changes_nothing() {
    let sequence = after(3);
    sequence.check(0, 3, id(3), None).unwrap();
    assert_eq!(sequence, after(3));
}

#[test]
fn an_applied_event_is_a_duplicate() {
    for position in 0..3 {
        assert_eq!(after(3).check(0, position, id(position), None), Ok(Verdict::Duplicate));
    }
}

#[test]
fn missing_positions_are_a_gap() {
    let gap = after(3).check(0, 5, id(5), None).unwrap_err();
    assert_eq!(gap, SequenceError::Gap { expected: 3, found: 5, set_aside: 0 });
    assert_eq!(gap.to_string(), "gap: position 3 was expected, 5 was found, so 2 event(s) are missing");
    let end = Sequence::default().check(0, u64::MAX, id(0), None).unwrap_err();
    assert_eq!(end, SequenceError::Gap { expected: 0, found: u64::MAX, set_aside: 0 });
}

#[test]
fn another_event_at_an_applied_position_is_a_fork() {
    for position in 0..3 {
        let fork = SequenceError::Fork { position, applied: id(position), found: id(99) };
        assert_eq!(after(3).check(0, position, id(99), None), Err(fork));
    }
    let fork = after(1).check(0, 0, id(99), None).unwrap_err();
    assert_eq!(
        fork.to_string(),
        format!(
            "fork: position 0 was applied as event {}, and now appears as event {}: \
             two writers wrote this partition, the topic was recreated, or this is another cluster",
            id(0),
            id(99)
        )
    );
}

#[test]
fn forks_are_seen_as_far_back_as_ids_are_remembered() {
    let window = RECENT_IDS_MAX as u64;
    let sequence = after(window + 2);
    let fork = SequenceError::Fork { position: 2, applied: id(2), found: id(0) };
    assert_eq!(sequence.check(0, 2, id(0), None), Err(fork));
    assert_eq!(sequence.check(0, 1, id(0), None), Ok(Verdict::Duplicate));
}

#[test]
fn a_resumed_reader_knows_the_last_event() {
    let reached =
        Reached { offset: 1050, epoch: 0, next_position: 1042, last_id: Some(id(1041)), log_id: None };
    let resumed = Sequence::resume(reached);
    assert_eq!(resumed.reached(), reached);
    assert_eq!(resumed.next_position(), 1042);
    assert_eq!(resumed.last_id(), Some(id(1041)));
    assert_eq!(resumed.check(0, 1042, id(1042), None), Ok(Verdict::Apply));
    assert_eq!(resumed.check(0, 1041, id(1041), None), Ok(Verdict::Duplicate));
    assert_eq!(resumed.check(0, 1040, id(1040), None), Ok(Verdict::Duplicate));
    let fork = SequenceError::Fork { position: 1041, applied: id(1041), found: id(7) };
    assert_eq!(resumed.check(0, 1041, id(7), None), Err(fork));
    assert_eq!(Sequence::resume(Reached::default()), Sequence::default());
}

/// Sequence behind `count` events, which know their log.
fn in_log(count: u64) -> Sequence {
    let mut sequence = after(count);
    sequence.belongs_to(id(1000));
    sequence
}

#[test]
fn an_event_that_names_another_one_before_it_is_of_another_log() {
    for (next, before) in [(0, 1000), (1, 0), (3, 2)] {
        let expected = id(before);
        let check = |previous| in_log(next).check(0, next, id(next), previous);
        assert_eq!(check(Some(expected)), Ok(Verdict::Apply));
        assert_eq!(check(None), Ok(Verdict::Apply), "it does not say");
        let other = SequenceError::OtherLog { position: next, expected, found: id(77) };
        assert_eq!(check(Some(id(77))), Err(other.clone()));
        let resumed = Sequence::resume(in_log(next).reached());
        assert_eq!(resumed.check(0, next, id(next), Some(id(77))), Err(other), "also from a checkpoint");
        assert_eq!(
            in_log(next).check(0, next + 1, id(9), Some(id(77))),
            Err(gap(next)),
            "a gap is told first"
        );
    }
    assert_eq!(after(0).check(0, 0, id(0), Some(id(77))), Ok(Verdict::Apply), "the log is not known yet");
    let said = in_log(0).check(0, 0, id(0), Some(id(77))).unwrap_err().to_string();
    assert!(said.contains("another log") && said.contains("recreated"), "{said}");
}

fn gap(expected: u64) -> SequenceError {
    SequenceError::Gap { expected, found: expected + 1, set_aside: 0 }
}

#[test]
fn a_log_is_known_by_the_first_that_names_it() {
    let mut sequence = in_log(0);
    sequence.belongs_to(id(1001));
    assert_eq!(sequence.log_id(), Some(id(1000)));
}

#[test]
fn what_a_shut_out_writer_sent_behind_its_own_event_is_skipped_and_no_other_log() {
    let mut sequence = in_log(3);
    sequence.pass(Verdict::Claim, 2, id(50), 3);
    assert_eq!(sequence.check(1, 3, id(60), Some(id(59))), Ok(Verdict::Fenced));
}

#[test]
fn a_repeated_event_puts_no_writer_in_force_whatever_epoch_its_copy_names() {
    let mut sequence = after(3);
    for position in [1, 2] {
        assert_eq!(sequence.check(9, position, id(position), None), Ok(Verdict::Duplicate));
        sequence.pass(Verdict::Duplicate, 9, id(position), 3);
    }
    assert_eq!(sequence.check(0, 3, id(3), None), Ok(Verdict::Apply), "its writer is in force as before");
    assert_eq!((sequence.epoch(), sequence.reached()), (0, after(3).reached()), "and is found where it was");
}
