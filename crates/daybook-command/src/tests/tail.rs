//! The comparison of store and log, case by case.

use uuid::Uuid;

use crate::reconcile::{CompareError, Compared, Outbox, Recorded, Resume, Tail, compare};
use crate::store::rows::Counter;

const fn id(position: u64) -> Uuid {
    Uuid::from_u128(0x1000 + position as u128)
}

/// A store that wrote `next` events, marked `sent` of them and keeps rows from `kept_from` on.
fn store(next: u64, sent: u64, kept_from: u64) -> Recorded {
    let last_id = next.checked_sub(1).map(id);
    Recorded { counter: Counter { next, last_id }, sent, kept_from }
}

/// A log whose last event has this position.
fn log(position: u64) -> Option<Tail> {
    Some(Tail { position, id: id(position) })
}

fn compared(store: &Recorded, tail: Option<Tail>) -> Result<Resume, CompareError> {
    let kept = tail.filter(|tail| tail.position >= store.kept_from).map(|tail| id(tail.position));
    let in_log = tail.map_or(0, |tail| tail.position + 1);
    let lacks = (in_log < store.kept_from).then_some(in_log..store.kept_from);
    compare(&Compared { topic: "t", partition: 3, dir: "d" }, store, tail, &Outbox { id: kept, lacks })
}

#[test]
fn log_and_store_agree() {
    assert_eq!(compared(&store(0, 0, 0), None).unwrap(), Resume { sent: 0, lost: 0 });
    assert_eq!(compared(&store(5, 5, 5), log(4)).unwrap(), Resume { sent: 5, lost: 0 });
}

#[test]
fn the_log_proves_that_more_was_sent_than_is_marked() {
    assert_eq!(compared(&store(9, 2, 2), log(6)).unwrap(), Resume { sent: 7, lost: 0 });
    assert_eq!(compared(&store(9, 2, 0), log(8)).unwrap(), Resume { sent: 9, lost: 0 });
}

#[test]
fn unsent_events_are_sent() {
    assert_eq!(compared(&store(9, 5, 0), log(4)).unwrap(), Resume { sent: 5, lost: 0 });
    assert_eq!(compared(&store(3, 0, 0), None).unwrap(), Resume { sent: 0, lost: 0 });
}

#[test]
fn a_log_that_lost_its_end_gets_it_again_from_kept_rows() {
    assert_eq!(compared(&store(9, 9, 4), log(5)).unwrap(), Resume { sent: 6, lost: 3 });
    assert_eq!(compared(&store(9, 9, 6), log(5)).unwrap(), Resume { sent: 6, lost: 3 });
    assert_eq!(compared(&store(9, 9, 0), None).unwrap(), Resume { sent: 0, lost: 9 });
}

#[test]
fn what_is_no_longer_kept_cannot_be_sent_again() {
    let refused = compared(&store(9, 9, 7), log(5)).unwrap_err();
    let CompareError::Lost { log: 6, from: 6, to: 6, .. } = refused else { panic!("{refused:?}") };
    let refused = compared(&store(9, 9, 9), None).unwrap_err().to_string();
    for part in ["topic t partition 3", "position 0", "0 to 8", "outbox in d", "--recover"] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
}

#[test]
fn a_log_that_lost_its_end_into_a_hole_of_the_outbox_is_refused() {
    let at = Compared { topic: "t", partition: 3, dir: "d" };
    let outbox = Outbox { id: Some(id(5)), lacks: Some(7..8) };
    let refused = compare(&at, &store(9, 9, 0), log(5), &outbox).unwrap_err();
    assert!(matches!(refused, CompareError::Lost { log: 6, from: 7, to: 7, .. }), "{refused}");
}

#[test]
fn a_log_ahead_of_the_store_is_refused() {
    let refused = compared(&store(5, 5, 0), log(5)).unwrap_err();
    let CompareError::Ahead { log: 5, store: 5, .. } = refused else { panic!("{refused:?}") };
    let refused = compared(&store(0, 0, 0), log(0)).unwrap_err().to_string();
    for part in ["topic t partition 3", "position 0", "in d", "--recover"] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
}

#[test]
fn one_position_with_two_events_is_a_fork() {
    let foreign = |position| Some(Tail { position, id: Uuid::from_u128(1) });
    for (store, position) in [(store(5, 5, 5), 4), (store(5, 2, 2), 3), (store(5, 2, 0), 4)] {
        let refused = compared(&store, foreign(position)).unwrap_err();
        let text = refused.to_string();
        assert!(matches!(refused, CompareError::Fork { position: at, .. } if at == position), "{text}");
        for part in ["fork", "topic t partition 3", "--recover", &id(position).to_string()] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

#[test]
fn a_position_that_is_no_longer_kept_cannot_be_called_a_fork() {
    let unknown = Some(Tail { position: 2, id: Uuid::from_u128(1) });
    assert_eq!(compared(&store(5, 3, 3), unknown).unwrap(), Resume { sent: 3, lost: 0 });
}
