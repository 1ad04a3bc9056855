//! Events of the old outbox that the log does not have, taken into the new store behind the log's end.

use std::ops::Range;

use super::leftover::{Fault, Leftover, Misfit};
use super::old_outbox::Opened;
use super::rebuild::{Rebuild, TakeError};
use crate::kernel::aggregate::Aggregate;
use crate::kernel::log_tail::Tail;
use crate::kernel::outbox::OutboxRow;

/// What came of one partition's leftover.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TakenOver {
    pub(super) partition: i32,
    /// Now in the new store, to be sent.
    pub(super) taken: Range<u64>,
    /// Left behind in the old store, and why.
    pub(super) misfit: Option<Misfit>,
    /// Events of the log that the old store does not know.
    pub(super) behind: u64,
}

/// Takes over what fits behind the log's ends.
pub(super) fn take_over<A: Aggregate>(
    old: &Opened,
    rebuild: &mut Rebuild<'_>,
    ends: &[Option<Tail>],
) -> Result<Vec<TakenOver>, TakeError> {
    let leftovers = (0..).zip(old.leftovers(ends));
    leftovers.map(|(number, leftover)| take_partition::<A>(old, rebuild, number, leftover)).collect()
}

fn take_partition<A: Aggregate>(
    old: &Opened,
    rebuild: &mut Rebuild<'_>,
    partition: i32,
    leftover: Leftover,
) -> Result<TakenOver, TakeError> {
    let Leftover { fitting, misfit, behind } = leftover;
    let mut at = fitting.start;
    while at < fitting.end {
        let (taken, fault) = match old.row_from(partition, at) {
            Ok(row) => take_row::<A>(rebuild, partition, at, row)?,
            Err(fault) => (0, Some(fault)),
        };
        at += taken;
        if let Some(fault) = fault {
            let misfit = Some(Misfit { positions: at..fitting.end, fault });
            return Ok(TakenOver { partition, taken: fitting.start..at, misfit, behind });
        }
    }
    Ok(TakenOver { partition, taken: fitting, misfit, behind })
}

/// Takes a row that begins at position `at`, as far as its events fit: how many did, and why not all.
fn take_row<A: Aggregate>(
    rebuild: &mut Rebuild<'_>,
    partition: i32,
    at: u64,
    mut row: OutboxRow,
) -> Result<(u64, Option<Fault>), TakeError> {
    let (mut taken, mut fault) = (0, None);
    for event in &row.events {
        match rebuild.append::<A>(partition, event) {
            Ok(()) => taken += 1,
            Err(TakeError::Fault(found)) => {
                fault = Some(Fault::Event { position: at + taken as u64, fault: found });
                break;
            }
            Err(error) => return Err(error),
        }
    }
    row.events.truncate(taken);
    if taken > 0 {
        rebuild.keep(partition, at, &row)?;
    }
    Ok((taken as u64, fault))
}
