//! Whoever stops anywhere and goes on behind the event applied last comes to the same.

use std::sync::Arc;

use daybook_stream::{PartitionState, Placed};
use proptest::prelude::*;

use crate::partition::{PARTITION, SERVICE, Written, claim_of, event_of, noise, ours, read, state};

/// A partition as its service and others may have written it: events in order, some of them garbled, repetitions, claims, noise with and
/// without keys.
fn partition(dice: &[u8]) -> Vec<Written> {
    let (mut records, mut epoch, mut position): (Vec<Written>, u32, u64) = (Vec::new(), 1, 0);
    for (number, roll) in dice.iter().enumerate() {
        match roll % 8 {
            0 => {
                epoch += 1;
                records.push(claim_of(ours(), epoch));
            }
            1 => records.push((None, format!("no key {number}").into_bytes())),
            // An event that nobody can read, and one behind it; in between, the one before them may be repeated.
            2 => {
                let before = records.last().cloned().filter(|_| *roll > 127);
                records.push(noise(number));
                records.extend(before);
                records.push(event_of(ours(), epoch, position + 1, None));
                position += 2;
            }
            3 if !records.is_empty() => records.push(records[usize::from(*roll) % records.len()].clone()),
            4 if epoch > 1 => records.push(event_of(ours(), epoch - 1, position, None)),
            _ => {
                records.push(event_of(ours(), epoch, position, None));
                position += 1;
            }
        }
    }
    records
}

/// Reads from where it stands to the end, or to what stops it.
fn read_on(state: &mut PartitionState, records: &[Written]) -> (Option<String>, Vec<Placed>) {
    let mut all = Vec::new();
    for (offset, record) in (0..).zip(records).skip(usize::try_from(state.next_offset()).unwrap()) {
        match read(state, offset, record) {
            Ok((_, placed)) => all.extend(placed),
            Err(refusal) => return (Some(refusal.to_string()), all),
        }
    }
    (None, all)
}

proptest! {
    #[test]
    fn stopped_anywhere_the_same_is_reached_set_aside_and_placed(
        dice in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let records = partition(&dice);
        let mut whole = state();
        let (stopped, placed) = read_on(&mut whole, &records);
        for end in 0..=records.len() {
            let mut first = state();
            let (_, mut found) = read_on(&mut first, &records[..end]);
            let (next_offset, set_aside) = (first.next_offset(), first.set_aside());
            let resumed = PartitionState::resume(Arc::from("toys.events"), PARTITION, SERVICE, first.reached());
            let mut resumed = resumed.with_read(next_offset, set_aside);
            found.iter().for_each(|placed| resumed.was_placed(placed.id));
            resumed.seek(first.resume_offset());
            let (again, more) = read_on(&mut resumed, &records);
            found.extend(more);
            prop_assert_eq!(&again, &stopped, "stopped at {}", end);
            prop_assert_eq!(resumed.set_aside(), whole.set_aside());
            prop_assert_eq!(resumed.reached(), whole.reached());
            prop_assert_eq!(&found, &placed);
        }
    }
}
