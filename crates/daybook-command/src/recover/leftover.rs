//! What one partition of the old outbox has that the log does not, and whether it fits behind the log's end. Pure.

use std::ops::Range;

use uuid::Uuid;

use crate::incoming::IncomingFault;
use crate::recorded::Recorded;

/// Positions of one partition that the old outbox has and the log does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leftover {
    /// To be taken over: contiguous with the log's end.
    pub(super) fitting: Range<u64>,
    /// Not to be taken over, and why.
    pub(super) misfit: Option<Misfit>,
    /// Events of the log that the old store does not know.
    pub(super) behind: u64,
    /// Positions that were given, as the old index says, and of which neither journal nor log has the event.
    pub(super) lost: Range<u64>,
}

/// Events of the old store that cannot be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    pub(super) positions: Range<u64>,
    pub(super) fault: Fault,
}

/// Why events of the old store cannot be taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// One position, two events.
    #[error(
        "position {position} is event {log} in the log and event {store} in the old store: two stores wrote this partition"
    )]
    Other { position: u64, log: Uuid, store: Uuid },
    /// The old outbox begins too late.
    #[error(
        "the log ends before position {in_log} and the old journal begins at position {kept_from}: what lies between them is in neither"
    )]
    Gap { in_log: u64, kept_from: u64 },
    /// An event cannot be read.
    #[error("the old journal cannot be read at position {position}: {detail}")]
    Unreadable { position: u64, detail: String },
    /// An event that does not continue what the log says.
    #[error("position {position}: {fault}")]
    Event { position: u64, fault: IncomingFault },
}

/// Judges one partition. `fault` is what the comparison with the log has found, up to the log's end before `in_log`.
pub(super) fn leftover(old: &Recorded, fault: Option<Fault>, in_log: u64) -> Leftover {
    let (kept_from, next) = (old.kept_from, old.counter.next);
    let gap = (kept_from > in_log).then_some(Fault::Gap { in_log, kept_from });
    let (fitting, misfits, fault) = match fault.or(gap) {
        None => (in_log..next.max(in_log), 0..0, None),
        // What the old store says from there on is another history, even where the log has more than it.
        Some(fault @ Fault::Other { position, .. }) => (in_log..in_log, position..next, Some(fault)),
        fault => (in_log..in_log, in_log..next, fault),
    };
    let misfit = fault.filter(|_| !misfits.is_empty()).map(|fault| Misfit { positions: misfits, fault });
    Leftover { fitting, misfit, behind: in_log.saturating_sub(next), lost: 0..0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Counter;

    const LOG: Uuid = Uuid::from_u128(1);
    const STORE: Uuid = Uuid::from_u128(2);

    /// A store that has `kept` of all positions before `kept.end`, where the log has those before `in_log`.
    fn judged(kept: Range<u64>, in_log: u64, fault: Option<Fault>) -> Leftover {
        let counter = Counter { next: kept.end, last_id: None };
        leftover(&Recorded { counter, sent: 0, kept_from: kept.start }, fault, in_log)
    }

    fn other(position: u64) -> Fault {
        Fault::Other { position, log: LOG, store: STORE }
    }

    fn misfits(positions: Range<u64>, fault: Fault) -> Option<Misfit> {
        Some(Misfit { positions, fault })
    }

    #[test]
    fn what_lies_behind_the_log_fits() {
        for (kept, in_log, fitting, behind) in [
            (0..9, 0, 0..9, 0),
            (3..9, 5, 5..9, 0),
            (5..9, 5, 5..9, 0),
            (3..9, 9, 9..9, 0),
            (3..9, 12, 12..12, 3),
        ] {
            assert_eq!(judged(kept, in_log, None), Leftover { fitting, misfit: None, behind, lost: 0..0 });
        }
    }

    #[test]
    fn behind_a_gap_nothing_fits() {
        let gap = Fault::Gap { in_log: 2, kept_from: 5 };
        assert_eq!(judged(5..9, 2, None).misfit, misfits(2..9, gap));
        assert!(judged(5..9, 2, None).fitting.is_empty());
    }

    #[test]
    fn nothing_of_another_history_fits() {
        for in_log in [4, 7, 9, 12] {
            let judged = judged(0..9, in_log, Some(other(3)));
            assert!(judged.fitting.is_empty());
            assert_eq!(judged.misfit, misfits(3..9, other(3)), "a log of {in_log}");
        }
    }

    #[test]
    fn a_row_that_cannot_be_compared_matters_only_if_something_follows() {
        let fault = Fault::Unreadable { position: 4, detail: String::new() };
        assert_eq!(judged(0..9, 5, Some(fault.clone())).misfit, misfits(5..9, fault.clone()));
        assert_eq!(judged(0..5, 5, Some(fault)).misfit, None);
    }
}
