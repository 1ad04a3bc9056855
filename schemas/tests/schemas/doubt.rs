//! When a reader is to look for its place again.

use std::cell::Cell;
use std::time::{Duration, Instant};

use schemas::doubt::{ASKED_EVERY, Doubt, Doubts, Ends, Followed, UNREAD_MAX};
use schemas::place::Compared;
use schemas::sequence::Reached;
use uuid::Uuid;

type Records = Vec<Option<(u64, Uuid)>>;

fn id(position: u64) -> Uuid {
    Uuid::from_u128(u128::from(position) + 1)
}

/// Read to an offset, where the event of the position before the same number lies, of a log that ends there.
fn read_to(next: i64, high: i64) -> Option<Followed> {
    let next_position = next.unsigned_abs();
    let last_id = next_position.checked_sub(1).map(id);
    let reached = Reached { offset: next, epoch: 0, next_position, last_id, log_id: None };
    Some(Followed { compared: Compared { reached, low: 0, high }, next_offset: next, ended: None })
}

/// A log that has the event of each position at the same offset.
fn as_read(looks: &[(usize, i64)]) -> Result<Records, ()> {
    Ok(looks.iter().map(|(_, offset)| Some((offset.unsigned_abs(), id(offset.unsigned_abs())))).collect())
}

#[test]
fn a_partition_of_which_nothing_is_read_for_long_is_told_once_in_that_time() {
    let began = Instant::now();
    let mut doubts = Doubts::begin(began);
    let mut look = |after: Duration, partitions: [Option<Followed>; 2]| {
        doubts.look(began + after, &partitions, as_read).unwrap()
    };
    let (at_end, waits, away) = (read_to(5, 5), read_to(5, 9), None);
    let second = Duration::from_secs(1);
    assert_eq!(look(Duration::ZERO, [at_end, waits]), None);
    assert_eq!(look(UNREAD_MAX - second, [at_end, waits]), None);
    assert_eq!(look(UNREAD_MAX, [at_end, waits]), Some((1, Doubt::Unread)));
    assert_eq!(look(UNREAD_MAX + second, [at_end, waits]), None);
    assert_eq!(look(UNREAD_MAX * 2, [at_end, waits]), Some((1, Doubt::Unread)));
    // What moves, ends or is away is not waited for, and what is back has its time from then on.
    assert_eq!(look(UNREAD_MAX * 3 - second, [at_end, read_to(6, 9)]), None);
    assert_eq!(look(UNREAD_MAX * 4, [away, away]), None);
    assert_eq!(look(UNREAD_MAX * 5, [waits, at_end]), None);
    assert_eq!(look(UNREAD_MAX * 6 - second, [waits, at_end]), None);
    assert_eq!(look(UNREAD_MAX * 6, [waits, at_end]), Some((0, Doubt::Unread)));
}

/// What lies before the end may be no record, as the mark of a transaction, or one of which the place is not known yet.
#[test]
fn whoever_has_come_to_the_end_waits_for_what_comes_behind_it_only() {
    let (began, ends) = (Instant::now(), Ends::default());
    ends.begin(1);
    let mut doubts = Doubts::begin(began);
    let mut look = |after: u32, high: i64| {
        let read = read_to(5, high).map(|of| Followed { ended: ends.all()[0], ..of });
        doubts.look(began + UNREAD_MAX * after, &[read], as_read).unwrap()
    };
    ends.reach(0);
    assert_eq!((look(0, 6), look(1, 6), look(2, 6)), (None, None, None));
    assert_eq!((look(3, 7), look(4, 7)), (Some((0, Doubt::Unread)), None));
    // It comes to the end again; the next reader comes to none.
    ends.reach(0);
    assert_eq!((look(5, 8), look(6, 8)), (None, None));
    ends.begin(1);
    assert_eq!((look(7, 8), look(8, 8)), (None, Some((0, Doubt::Unread))));
}

#[test]
fn the_log_is_asked_now_and_then_for_what_was_applied_last() {
    let began = Instant::now();
    let (mut doubts, asked) = (Doubts::begin(began), Cell::new(0));
    let mut look = |after: u32, partitions: &[Option<Followed>], other: Option<usize>| {
        doubts
            .look(began + ASKED_EVERY * after, partitions, |looks| {
                asked.set(asked.get() + 1);
                let mut records = as_read(looks)?;
                for (record, (partition, _)) in records.iter_mut().zip(looks) {
                    *record = record.filter(|_| Some(*partition) != other);
                }
                Ok::<_, ()>(records)
            })
            .unwrap()
    };
    let all = [read_to(3, 3), None, read_to(5, 5)];
    assert_eq!(look(0, &all, Some(2)), None);
    assert_eq!(asked.get(), 0, "not yet");
    assert_eq!(look(1, &all, None), None);
    assert_eq!(asked.get(), 1);
    assert_eq!(look(1, &all, Some(2)), None, "not so often");
    assert_eq!(look(2, &all, Some(2)), Some((2, Doubt::Moved)));
    assert_eq!(look(3, &[read_to(3, 2)], None), Some((0, Doubt::Moved)), "a log that ends before");
    let behind = Followed { next_offset: 9, ..read_to(3, 3).unwrap() };
    assert_eq!(look(4, &[Some(behind)], None), Some((0, Doubt::Moved)), "what was skipped is gone");
    assert_eq!(look(5, &[read_to(0, 0), None], None), None);
    let claims = Compared { low: 3, ..read_to(0, 9).unwrap().compared };
    let claims_only = Followed { compared: claims, next_offset: 9, ended: None };
    assert_eq!(look(6, &[Some(claims_only)], None), None, "a deleted front of which nothing was applied");
}

#[test]
fn a_log_that_cannot_be_asked_is_asked_again_later() {
    let began = Instant::now();
    let mut doubts = Doubts::begin(began);
    let mut look = |after: u32, answer: Result<Records, ()>| {
        doubts.look(began + ASKED_EVERY * after, &[read_to(3, 3)], |_| answer.clone())
    };
    assert_eq!(look(1, Err(())), Err(()));
    assert_eq!(look(2, Ok(vec![Some((2, id(2)))])), Ok(None));
}
