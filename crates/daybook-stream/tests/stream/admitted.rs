//! What a record is, and when it stops its reader.

use daybook_event::envelope::Source;
use daybook_event::sequence::SequenceError;
use daybook_stream::SetAside;
use uuid::Uuid;

use crate::partition::{KEY, PARTITION, claim_of, event, event_of, id, noise, ours, read, read_all, state};

#[test]
fn every_record_is_one_of_five_things() {
    let others = || Source { service: "chairs".into(), partition: PARTITION };
    let elsewhere = || Source { service: "toys".into(), partition: PARTITION + 1 };
    let claim_without_epoch =
        br#"{"specversion":"1.0","type":"daybook.writer.claimed.v1","source":"/toys/3"}"#;
    let records = [
        (event(0), "event"),
        (event(0), "repeated"),
        (claim_of(ours(), 2), "claim"),
        (claim_of(ours(), 2), "fenced"),
        (event_of(ours(), 1, 1, None), "fenced"),
        (event_of(ours(), 2, 1, Some(id(0, 0))), "event"),
        (claim_of(others(), 9), "set aside"),
        (event_of(others(), 2, 2, None), "set aside"),
        (event_of(elsewhere(), 2, 2, None), "set aside"),
        ((KEY, claim_without_epoch.to_vec()), "set aside"),
        ((KEY, Vec::new()), "set aside"),
        ((None, b"hello".to_vec()), "set aside"),
        ((KEY, vec![0xff; 9]), "set aside"),
        (event_of(ours(), 2, 2, Some(id(2, 1))), "event"),
    ];
    let mut state = state();
    for (offset, (record, expected)) in (0..).zip(records) {
        assert_eq!(read(&mut state, offset, &record).unwrap().0, expected, "offset {offset}");
    }
    assert_eq!(state.set_aside(), SetAside { records: 7, first_offset: 6, last_offset: 12 });
    assert_eq!((state.next_offset(), state.next_position(), state.reached().epoch), (14, 3, 2));
}

#[test]
fn what_does_not_continue_the_log_stops_and_changes_nothing() {
    let mut state = state();
    read_all(&mut state, &[event(0), noise(1)]);
    let before = (state.reached(), state.next_offset(), state.set_aside());
    let forks = event_of(ours(), 1, 0, None);
    let other_log = event_of(ours(), 0, 1, Some(Uuid::from_u128(99)));
    for (record, expected) in [(event(4), "gap"), (forks, "fork"), (other_log, "another log")] {
        let refusal = read(&mut state, 2, &record).unwrap_err();
        assert!(refusal.to_string().contains(expected), "{refusal}");
        assert_eq!((state.reached(), state.next_offset(), state.set_aside()), before, "{expected}");
    }
}

#[test]
fn exactly_as_many_as_are_missing_have_their_positions() {
    for (keyed, found, fills) in [(1, 1, true), (3, 3, true), (2, 1, false), (1, 2, false), (0, 1, false)] {
        let mut state = state();
        for number in 0..keyed {
            read(&mut state, number as i64, &noise(number)).unwrap();
        }
        read(&mut state, 10, &(None, b"no key".to_vec())).unwrap();
        // A repetition is none more.
        if keyed > 0 {
            read(&mut state, 11, &noise(0)).unwrap();
        }
        match read(&mut state, 12, &event(found)) {
            Ok((what, placed)) => {
                assert!(fills && what == "event", "{keyed} {found}");
                let at: Vec<_> = placed.iter().map(|placed| (placed.position, placed.offset)).collect();
                assert_eq!(at, (0..found).map(|position| (position, position as i64)).collect::<Vec<_>>());
                assert_eq!((state.next_position(), state.resume_offset()), (found + 1, 13));
            }
            Err(refusal) => {
                assert!(!fills, "{keyed} {found}");
                let set_aside = keyed as u64;
                let gap = SequenceError::Gap { expected: 0, found, set_aside };
                assert_eq!(refusal.error, gap);
            }
        }
    }
}

#[test]
fn the_event_behind_says_what_the_last_of_them_is_called() {
    let mut state = state();
    let named = Uuid::from_u128(77);
    read_all(&mut state, &[event(0), noise(1)]);
    read(&mut state, 2, &event_of(ours(), 0, 2, Some(named))).unwrap();
    // Named once more: it is the one that was there.
    assert_eq!(read(&mut state, 3, &event_of(ours(), 0, 2, Some(named))).unwrap().0, "repeated");
    let mut renamed = event_of(ours(), 0, 1, None);
    renamed.1 =
        String::from_utf8(renamed.1).unwrap().replace(&id(0, 1).to_string(), &named.to_string()).into();
    assert_eq!(read(&mut state, 4, &renamed).unwrap().0, "repeated");
}

#[test]
fn what_has_a_position_fills_no_later_gap() {
    let mut state = state();
    read_all(&mut state, &[noise(0), event(1), noise(0)]);
    assert!(read(&mut state, 3, &event(3)).is_err());
    let mut resumed = crate::partition::state();
    resumed.was_placed(first_placed());
    read_all(&mut resumed, &[event(0), noise(0)]);
    assert!(read(&mut resumed, 2, &event(2)).is_err());
}

fn first_placed() -> Uuid {
    let mut state = state();
    read(&mut state, 0, &noise(0)).unwrap();
    read(&mut state, 1, &event(1)).unwrap().1[0].id
}

#[test]
fn reading_that_goes_on_elsewhere_forgets_what_was_set_aside_there() {
    let mut state = state();
    read_all(&mut state, &[event(0), noise(1)]);
    // Behind the event applied last it comes again, and is counted.
    assert!(state.seek(1) && !state.seek(1));
    assert!(!read_is_new(&mut state, 1));
    assert_eq!((state.set_aside().records, state.next_offset()), (1, 2));
    // Anywhere else all is read again.
    assert!(state.seek(0));
    assert_eq!(state.set_aside(), SetAside::default());
    assert!(read(&mut state, 1, &event(2)).is_err(), "and nothing fills a gap that was not read here");
}

fn read_is_new(state: &mut daybook_stream::PartitionState, offset: i64) -> bool {
    let before = state.set_aside();
    read(state, offset, &noise(1)).unwrap();
    state.set_aside() != before
}

/// A copy with the epoch of no writer, also behind noise that may yet have a position.
#[test]
fn a_copy_of_an_event_fences_nobody() {
    let mut copy = event(0);
    let text = String::from_utf8(copy.1).unwrap();
    let copied = text.replace("\"writerepoch\":0", "\"writerepoch\":6");
    copy.1 = if copied == text { text.replacen('{', "{\"writerepoch\":6,", 1) } else { copied }.into_bytes();
    for noise in [&[][..], &[noise(1)]] {
        let mut state = state();
        read_all(&mut state, &[event(0)]);
        read_all(&mut state, noise);
        let kinds = read_all(&mut state, &[copy.clone(), event(noise.len() as u64 + 1)]);
        assert_eq!(kinds, ["repeated", "event"], "behind {} of noise", noise.len());
        assert_eq!(state.reached().epoch, 0);
    }
}
