//! When a reader is to look for its place again.

use std::cell::Cell;
use std::time::{Duration, Instant};

use daybook_event::doubt::{
    ASKED_EVERY, Counted, Doubt, Doubts, Followed, KEPT_MAX, Reading, Readings, UNREAD_MAX,
};
use daybook_event::place::Stamp;
use uuid::Uuid;

type Stamps = Vec<Option<Stamp>>;

fn stamp(offset: i64) -> Stamp {
    Stamp { id: Uuid::from_u128(u128::from(offset.unsigned_abs()) + 1), epoch: 3 }
}

fn of(offset: i64) -> (i64, Stamp) {
    (offset, stamp(offset))
}

/// Read up to an offset, of a log that ends there.
fn read_to(next_offset: i64, high: i64) -> Option<Followed> {
    let event = next_offset.checked_sub(1).filter(|last| *last >= 0).map(of);
    Some(Followed { next_offset, low: 0, high, reading: begun(event) })
}

fn begun(event: Option<(i64, Stamp)>) -> Reading {
    Reading { ended: None, counted: Counted::behind(event) }
}

/// A log in which each record is the one that was read.
fn as_read(looks: &[(usize, i64)]) -> Result<Stamps, ()> {
    Ok(looks.iter().map(|(_, offset)| Some(stamp(*offset))).collect())
}

#[test]
fn a_partition_of_which_nothing_is_read_for_long_is_told_once_in_that_time() {
    let began = Instant::now();
    let mut doubts = Doubts::begin(began);
    let mut look = |after: Duration, partitions: [&Option<Followed>; 2]| {
        let partitions = partitions.map(Clone::clone);
        doubts.check(began + after, &partitions, as_read).unwrap()
    };
    let (at_end, waits, away) = (read_to(5, 5), read_to(5, 9), None);
    let second = Duration::from_secs(1);
    assert_eq!(look(Duration::ZERO, [&at_end, &waits]), None);
    assert_eq!(look(UNREAD_MAX - second, [&at_end, &waits]), None);
    assert_eq!(look(UNREAD_MAX, [&at_end, &waits]), Some((1, Doubt::Unread)));
    assert_eq!(look(UNREAD_MAX + second, [&at_end, &waits]), None);
    assert_eq!(look(UNREAD_MAX * 2, [&at_end, &waits]), Some((1, Doubt::Unread)));
    // What moves, ends or is away is not waited for, and what is back has its time from then on.
    assert_eq!(look(UNREAD_MAX * 3 - second, [&at_end, &read_to(6, 9)]), None);
    assert_eq!(look(UNREAD_MAX * 4, [&away, &away]), None);
    assert_eq!(look(UNREAD_MAX * 5, [&waits, &at_end]), None);
    assert_eq!(look(UNREAD_MAX * 6 - second, [&waits, &at_end]), None);
    assert_eq!(look(UNREAD_MAX * 6, [&waits, &at_end]), Some((0, Doubt::Unread)));
}

/// What lies before the end may be no record, as the mark of a transaction, or one of which the place is not known yet.
#[test]
fn whoever_has_come_to_the_end_waits_for_what_comes_behind_it_only() {
    let (began, readings) = (Instant::now(), Readings::default());
    readings.begin([&Counted::default()]);
    let mut doubts = Doubts::begin(began);
    let mut look = |after: u32, high: i64| {
        let read = read_to(5, high).map(|of| Followed { reading: readings.all(1).remove(0), ..of });
        doubts.check(began + UNREAD_MAX * after, &[read], as_read).unwrap()
    };
    readings.reach(0);
    assert_eq!((look(0, 6), look(1, 6), look(2, 6)), (None, None, None));
    assert_eq!((look(3, 7), look(4, 7)), (Some((0, Doubt::Unread)), None));
    // It comes to the end again; the next reader comes to none.
    readings.reach(0);
    assert_eq!((look(5, 8), look(6, 8)), (None, None));
    readings.begin([&Counted::default()]);
    assert_eq!((look(7, 8), look(8, 8)), (None, Some((0, Doubt::Unread))));
}

#[test]
fn the_log_is_asked_now_and_then_for_what_was_read_last() {
    let began = Instant::now();
    let (mut doubts, asked) = (Doubts::begin(began), Cell::new(0));
    let mut look = |after: u32, partitions: &[Option<Followed>], found: Option<Option<Stamp>>| {
        let looked = doubts.check(began + ASKED_EVERY * after, partitions, |looks| {
            asked.set(asked.get() + 1);
            let mut stamps = as_read(looks)?;
            if let (Some(found), Some(last)) = (found, stamps.last_mut()) {
                *last = found;
            }
            Ok::<_, ()>(stamps)
        });
        looked.unwrap()
    };
    let all = [read_to(3, 3), None, read_to(0, 0), read_to(5, 5)];
    let other = Some(Some(Stamp { epoch: 4, ..stamp(4) }));
    assert_eq!(look(0, &all, other), None);
    assert_eq!(asked.get(), 0, "not yet");
    assert_eq!(look(1, &all, None), None);
    assert_eq!(asked.get(), 1);
    assert_eq!(look(1, &all, other), None, "not so often");
    assert_eq!(look(2, &all, other), Some((3, Doubt::Moved)));
    assert_eq!(look(3, &all, Some(None)), None, "who has no id now had none");
    assert_eq!(look(4, &[read_to(3, 2)], None), Some((0, Doubt::Moved)), "a log that ends before");
    let before = asked.get();
    assert_eq!(look(5, &[read_to(0, 0), None], None), None);
    let deleted = read_to(3, 9).map(|of| Followed { low: 3, ..of });
    assert_eq!(look(6, &[deleted], None), None, "a front that was deleted");
    assert_eq!(asked.get(), before, "there is nothing to ask for");
}

#[test]
fn a_reader_is_known_by_what_it_began_behind_and_what_it_has_read() {
    let readings = Readings::default();
    assert_eq!(readings.all(1), [Reading::default()]);
    let (mut first, second) = (Counted::behind(Some(of(4))), Counted::default());
    readings.begin([&first, &second]);
    readings.reach(1);
    first.claim(5, stamp(5));
    readings.read([&first, &second]);
    let ended = Reading { ended: Some(1), counted: second.clone() };
    assert_eq!(readings.all(2), [Reading { ended: None, counted: first }, ended]);
    readings.clone().begin([&second]);
    readings.reach(7);
    assert_eq!(readings.all(2), [Reading::default(), Reading::default()]);
}

/// A log that took the place of the one with the claims that were read before has the newest one, and not those.
#[test]
fn the_log_is_asked_for_all_that_counted_since_it_was_asked_last_and_for_what_it_had_then() {
    let began = Instant::now();
    let (mut doubts, asked) = (Doubts::begin(began), Cell::new(Vec::new()));
    let mut look = |after: u32, counted: &Counted, lacks: i64| {
        let reading = Reading { ended: None, counted: counted.clone() };
        let partition = Followed { next_offset: 90, low: 0, high: 90, reading };
        let looked = doubts.check(began + ASKED_EVERY * after, &[Some(partition)], |looks| {
            let mut all = asked.take();
            all.extend(looks.iter().map(|(_, offset)| *offset));
            asked.set(all);
            let of = |offset: i64| if offset == lacks { stamp(77) } else { stamp(offset) };
            Ok::<_, ()>(looks.iter().map(|(_, offset)| Some(of(*offset))).collect())
        });
        (looked.unwrap().is_some(), asked.take())
    };
    let mut counted = Counted::behind(Some(of(2)));
    counted.claim(3, stamp(3));
    assert_eq!(look(1, &counted, -1), (false, vec![2, 3]));
    assert_eq!(look(2, &counted, -1), (false, vec![3]));
    counted.claim(8, stamp(8));
    assert_eq!(look(3, &counted, 3), (true, vec![3]));
    assert_eq!(look(4, &counted, -1), (false, vec![3, 8]));
    // What lies before an event, its link vouches for.
    counted.event(9, stamp(9));
    assert_eq!(look(5, &counted, 3), (false, vec![9]));
    (10..60).for_each(|offset| counted.claim(offset, stamp(offset)));
    let (_, many) = look(6, &counted, -1);
    assert_eq!((many.len(), many.first(), many.last()), (KEPT_MAX, Some(&9), Some(&59)));
}

#[test]
fn a_log_that_cannot_be_asked_is_asked_again_later() {
    let began = Instant::now();
    let mut doubts = Doubts::begin(began);
    let mut look = |after: u32, answer: Result<Stamps, ()>| {
        doubts.check(began + ASKED_EVERY * after, &[read_to(3, 3)], |_| answer.clone())
    };
    assert_eq!(look(1, Err(())), Err(()));
    assert_eq!(look(2, Ok(vec![Some(stamp(2))])), Ok(None));
}
