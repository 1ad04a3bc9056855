//! The place in a log that is not quite what it was.

use daybook_event::place::{Compared, Place, Search, Stamp, Step};
use daybook_event::sequence::{Reached, Sequence};
use proptest::prelude::*;
use uuid::Uuid;

fn id(position: u64) -> Uuid {
    Uuid::from_u128(0x1000 + u128::from(position))
}

/// A reader that has applied `next_position` events up to `offset`.
fn reached(offset: i64, next_position: u64) -> Reached {
    Reached { offset, epoch: 0, next_position, last_id: next_position.checked_sub(1).map(id), log_id: None }
}

/// That reader, and a log of these positions.
fn place(offset: i64, next_position: u64, log: &[u64]) -> Place {
    let compared = Compared { reached: reached(offset, next_position), low: 0, high: log.len() as i64 };
    search(compared, |offset| log.get(offset as usize).map(|position| (*position, id(*position))))
}

fn search(compared: Compared, record: impl Fn(i64) -> Option<(u64, Uuid)>) -> Place {
    let mut search = Search::begin(compared);
    loop {
        match search.step() {
            Step::Found(place) => return place,
            Step::Look(offset) => {
                let of = |(position, id)| (position, Stamp { id, epoch: 0 });
                search.saw(record(offset).map(of));
            }
        }
    }
}

#[test]
fn a_log_that_is_what_it_was_is_read_on() {
    assert_eq!(place(0, 0, &[]), Place::At(0));
    assert_eq!(place(0, 0, &[0, 1]), Place::At(0));
    assert_eq!(place(2, 2, &[0, 1]), Place::At(2));
    assert_eq!(place(2, 2, &[0, 1, 2]), Place::At(2));
    assert_eq!(place(3, 3, &[0, 1, 2, 1]), Place::At(3), "a repetition is read again");
}

#[test]
fn a_log_that_ends_before_what_was_applied_is_waited_for() {
    assert_eq!(place(5, 5, &[0, 1, 2]), Place::Lost);
    assert_eq!(place(5, 5, &[]), Place::Lost);
    assert_eq!(place(1, 0, &[]), Place::At(0), "nothing was applied, so nothing is missing");
}

#[test]
fn a_log_that_changed_is_read_from_its_beginning_once_it_has_again_what_was_applied() {
    // The log was 0 1 1 2, lost its last three records and got 1 and more again.
    assert_eq!(place(4, 3, &[0, 1, 2]), Place::At(0));
    assert_eq!(place(4, 3, &[0, 1, 2, 3, 4, 5]), Place::At(0));
    assert_eq!(place(90, 40, &(0..100).collect::<Vec<u64>>()), Place::At(0));
}

/// Reads what was looked at as another event than the one that was applied last, or as none.
fn changed(record: Option<(u64, Uuid)>) -> Place {
    search(Compared { reached: reached(2, 2), low: 0, high: 2 }, |_| record)
}

#[test]
fn another_event_at_the_last_position_is_read_again() {
    assert_eq!(changed(Some((1, id(77)))), Place::At(0));
}

/// Filled again by its service with another epoch, what comes next may be of one that is lower than what was in force.
#[test]
fn the_same_event_of_another_writer_is_read_again() {
    for (epoch, offset) in [(3, 2), (2, 0), (4, 0)] {
        let reached = Reached { epoch: 3, ..reached(2, 2) };
        let mut search = Search::begin(Compared { reached, low: 0, high: 2 });
        search.saw(Some((1, Stamp { id: id(1), epoch })));
        assert_eq!(search.step(), Step::Found(Place::At(offset)), "{epoch}");
    }
}

#[test]
fn a_log_without_any_event_has_lost_those_that_were_applied() {
    assert_eq!(changed(None), Place::Lost);
}

/// A log of events, and of claims and other records that are none.
fn place_among(next_offset: i64, next_position: u64, log: &[Option<u64>]) -> Place {
    let compared = Compared { reached: reached(next_offset, next_position), low: 0, high: log.len() as i64 };
    // Made anew, so each event has another id.
    search(compared, |offset| log[offset as usize].map(|position| (position, id(position + 1_000))))
}

#[test]
fn a_log_that_was_made_anew_is_waited_for_whatever_is_no_event_in_it() {
    for claims in [1, 2, 3, 63, 64, 65, 66, 200, 1_000] {
        for events in [0, 1, 4] {
            let mut log: Vec<_> = (0..events).map(Some).collect();
            log.extend(std::iter::repeat_n(None, claims));
            for next_offset in [5, 7, 70, 5_000] {
                let what = format!("{events} events and {claims} claims, read up to {next_offset}");
                assert_eq!(place_among(next_offset, 5, &log), Place::Lost, "{what}");
            }
            // Its service has sent again what it had kept.
            log.splice(events as usize..events as usize, (events..7).map(Some));
            assert_eq!(place_among(5_000, 5, &log), Place::At(0), "{events} events and {claims} claims");
        }
    }
}

#[test]
fn a_log_of_another_cluster_is_none_that_has_healed_however_long_it_is() {
    let theirs: Vec<_> = (0..300).map(Some).collect();
    assert_eq!(place_among(200, 400, &theirs), Place::Lost, "it has as many records, and less events");
    assert_eq!(place_among(200, 250, &theirs), Place::At(0), "the check of positions tells the fork");
}

#[test]
fn the_last_event_is_found_among_claims() {
    let log = [Some(0), None, Some(1), None, None, Some(2), None, None, Some(3), None, None, None];
    assert_eq!(place_among(50, 4, &log), Place::At(0));
    assert_eq!(place_among(50, 5, &log), Place::Lost);
}

#[test]
fn a_front_that_was_deleted_up_to_the_checkpoint_takes_nothing_away() {
    let compared = Compared { reached: reached(7, 7), low: 7, high: 9 };
    assert_eq!(search(compared, |_| panic!("nothing to look at")), Place::At(7));
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
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

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
        let mut sequence = Sequence::default();
        read_all(&mut sequence, 0, &log[..part(read)])?;
        let mut healed = log[..part(kept)].to_vec();
        for (back, run) in &after {
            let from = healed.last().map_or(0, |last| (last + 1).saturating_sub(*back));
            healed.extend(from..from + u64::from(*run));
        }
        let applied = sequence.next_position();
        let highest = healed.iter().max().map_or(0, |last| last + 1);
        // Whoever repeats goes on: what lies before a repetition comes again behind it.
        healed.extend(healed.last().map_or(0, |last| last + 1)..highest);
        let compared = Compared { reached: sequence.reached(), low: 0, high: healed.len() as i64 };
        match search(compared, |offset| healed.get(offset as usize).map(|position| (*position, id(*position)))) {
            Place::Lost => prop_assert!(healed.last().is_some_and(|last| last + 1 < applied)),
            Place::At(from) => {
                let mut sequence = Sequence::resume(sequence.reached());
                sequence.seek(from);
                read_all(&mut sequence, from, &healed[from as usize..])?;
                prop_assert_eq!(sequence.next_position(), highest.max(applied));
            }
        }
    }
}

fn read_all(sequence: &mut Sequence, from: i64, log: &[u64]) -> Result<(), TestCaseError> {
    for (offset, position) in (from..).zip(log) {
        let verdict = sequence.check(0, *position, id(*position), None);
        let verdict = verdict.map_err(|error| TestCaseError::fail(error.to_string()))?;
        sequence.pass(verdict, 0, id(*position), offset);
    }
    Ok(())
}
