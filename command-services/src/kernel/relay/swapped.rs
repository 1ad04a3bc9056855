//! Sabotage of the relay that takes more than a line: two events change places.

use crate::kernel::outbox::OutboxRow;

/// Swaps the events of position `from` and of the one behind it, each under the other's position. Whoever sends them
/// notices nothing.
pub(super) fn first_two(rows: &mut [(u64, OutboxRow)], from: u64) {
    let events = rows.iter_mut().flat_map(|(first, row)| (*first..).zip(&mut row.events));
    let mut unsent = events.filter(|(position, _)| *position >= from).map(|(_, event)| event);
    if let (Some(one), Some(other)) = (unsent.next(), unsent.next()) {
        std::mem::swap(one, other);
    }
}
