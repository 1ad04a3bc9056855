//! The outbox that is about to be replaced, as far as it can still be read, and what of it the log does not have.
//!
//! While the log is read, every event that the old journal still has is compared with the log's event at its position.
//! What then lies behind the end of the log, contiguous with it, was never sent or is lost there, and can be taken over.

use std::ops::Range;
use std::path::Path;

use daybook_journal::{Event, Reader};
use daybook_store::Store;
use uuid::Uuid;

use crate::incoming::IncomingFault;
use crate::reconcile::{Recorded, Tail, events_from, recorded};
use crate::store;
use crate::store::before::{StoreBefore, is_from_before};
use crate::store::directory::{INDEX, JOURNAL};
use crate::store::rows::{Counter, RowError};

/// A position of which there is no event.
const NO_EVENT: &str = "there is no such event";

pub(super) enum OldOutbox {
    Absent,
    /// There is one, and this is why nothing can be had of it.
    Unreadable(String),
    Open(Box<Opened>),
}

/// An old journal, or a store from before there was one, that could be opened.
pub(super) struct Opened {
    kept: Kept,
    partitions: Vec<Partition>,
    /// The journal's last segment, if nothing of it can be read.
    pub(super) unreadable_end: Option<u64>,
}

enum Kept {
    Journal(Reader),
    Before(Box<StoreBefore>),
}

impl Kept {
    /// Some events of a partition, from the one at `from` on and before `to`.
    fn events_from(&self, partition: i32, from: u64, to: u64) -> Result<Vec<Event>, String> {
        match self {
            Self::Journal(journal) => {
                let run = events_from(journal, partition as usize, from, to);
                Ok(run.map_err(|error| error.to_string())?.iter().map(|event| Event::clone(event)).collect())
            }
            Self::Before(store) => {
                let mut events = store.events_from(partition, from).map_err(|error| error.to_string())?;
                events.retain(|event| event.position < to);
                Ok(events)
            }
        }
    }
}

struct Partition {
    recorded: Recorded,
    /// The next position as the old index has it; 0 if that cannot be read.
    indexed: u64,
    /// Events that the log's next ones are compared with.
    compared: Vec<Event>,
    fault: Option<Fault>,
}

impl OldOutbox {
    /// Opens what there is in the old directory `store`; damage in it is passed over.
    pub(super) fn open(store: &Path, partitions: i32, cache_bytes: u64) -> Self {
        if is_from_before(store) {
            let opened = Opened::before(store, partitions, cache_bytes);
            let opened = opened.map(Box::new);
            return opened.map_or_else(|error| Self::Unreadable(error.to_string()), Self::Open);
        }
        let dir = store.join(JOURNAL);
        if !dir.exists() {
            return Self::Absent;
        }
        match daybook_journal::find_readable(&dir) {
            Ok(found) => {
                let (indexed, unreadable_end) =
                    (indexed(store, partitions, cache_bytes), found.unreadable_end());
                let opened = Opened::new(found.into_reader(), partitions, &indexed);
                Self::Open(Box::new(Opened { unreadable_end, ..opened }))
            }
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }

    /// An event of the log: the old journal must have the same one at its position, if it still has that position.
    pub(super) fn compare(&mut self, partition: i32, logged: Tail) {
        if let Self::Open(opened) = self {
            opened.compare(partition, logged);
        }
    }
}

/// The next position of each partition as the index of `store` has it; nothing if that cannot be read.
fn indexed(store: &Path, partitions: i32, cache_bytes: u64) -> Vec<u64> {
    let index = store.join(INDEX);
    let Some(index) = index.exists().then(|| Store::open_as_it_is(&index, cache_bytes).ok()).flatten() else {
        return Vec::new();
    };
    let next = |partition| store::counter(&index, partition).map_or(0, |counter| counter.next);
    (0..partitions).map(next).collect()
}

impl Opened {
    fn new(journal: Reader, partitions: i32, indexed: &[u64]) -> Self {
        let mut of = recorded(&journal).into_iter();
        let nothing = || Recorded { counter: Counter::default(), sent: 0, kept_from: 0 };
        let partition = |number: i32| {
            let recorded = of.next().unwrap_or_else(nothing);
            let indexed = indexed.get(number as usize).copied().unwrap_or(0);
            Partition { recorded, indexed, compared: Vec::new(), fault: None }
        };
        let partitions = (0..partitions).map(partition).collect();
        Self { kept: Kept::Journal(journal), partitions, unreadable_end: None }
    }

    fn before(store: &Path, partitions: i32, cache_bytes: u64) -> Result<Self, RowError> {
        let store = StoreBefore::open(store, cache_bytes)?;
        let partition = |partition| {
            let recorded = store.recorded(partition)?;
            Ok(Partition { recorded, indexed: 0, compared: Vec::new(), fault: None })
        };
        let partitions = (0..partitions).map(partition).collect::<Result<_, RowError>>()?;
        Ok(Self { kept: Kept::Before(Box::new(store)), partitions, unreadable_end: None })
    }

    fn compare(&mut self, number: i32, logged: Tail) {
        let (kept, position) = (&self.kept, logged.position);
        let Some(partition) = self.partitions.get_mut(number as usize) else { return };
        let positions = partition.recorded.kept_from..partition.recorded.counter.next;
        if matches!(partition.fault, Some(Fault::Other { .. })) || !positions.contains(&position) {
            return;
        }
        // An event that cannot be read does no harm if the ones after it are the log's again.
        partition.fault = match partition.id_at(kept, number, position) {
            Ok(Some(id)) if id == logged.id => None,
            Ok(Some(store)) => Some(Fault::Other { position, log: logged.id, store }),
            // There is nothing that could say something else.
            Ok(None) => return,
            Err(detail) => Some(Fault::Unreadable { position, detail }),
        };
    }

    /// What is to be done with each partition, once the log has been read up to these ends.
    pub(super) fn leftovers(&self, ends: &[Option<Tail>]) -> Vec<Leftover> {
        let of = |(partition, end): (&Partition, &Option<Tail>)| {
            let in_log = end.map_or(0, |tail| tail.position + 1);
            let known = partition.recorded.counter.next.max(in_log);
            let lost = known..partition.indexed.max(known);
            Leftover { lost, ..leftover(&partition.recorded, partition.fault.clone(), in_log) }
        };
        self.partitions.iter().zip(ends).map(of).collect()
    }

    /// Some events of a partition, from the one at `from` on and before `to`.
    pub(super) fn events_from(&self, number: i32, from: u64, to: u64) -> Result<Vec<Event>, Fault> {
        let unreadable = |detail: String| Fault::Unreadable { position: from, detail };
        let events = self.kept.events_from(number, from, to).map_err(unreadable)?;
        if events.is_empty() { Err(unreadable(NO_EVENT.to_owned())) } else { Ok(events) }
    }
}

impl Partition {
    fn id_at(&mut self, kept: &Kept, number: i32, position: u64) -> Result<Option<Uuid>, String> {
        let find = |run: &[Event]| run.iter().find(|event| event.position == position).map(|event| event.id);
        if find(&self.compared).is_none() {
            let end = self.recorded.counter.next;
            self.compared = kept.events_from(number, position, end)?;
        }
        Ok(find(&self.compared))
    }
}

/// Positions of one partition that the old outbox has and the log does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leftover {
    /// To be taken over: contiguous with the log's end.
    pub(super) fitting: Range<u64>,
    /// Not to be taken over, and why.
    pub(super) left_behind: Option<LeftBehind>,
    /// Events of the log that the old store does not know.
    pub(super) behind: u64,
    /// Positions that were given, as the old index says, and of which neither journal nor log has the event.
    pub(super) lost: Range<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeftBehind {
    pub(super) positions: Range<u64>,
    pub(super) fault: Fault,
}

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
    let (fitting, positions, fault) = match fault.or(gap) {
        None => (in_log..next.max(in_log), 0..0, None),
        // What the old store says from there on is another history, even where the log has more than it.
        Some(fault @ Fault::Other { position, .. }) => (in_log..in_log, position..next, Some(fault)),
        fault => (in_log..in_log, in_log..next, fault),
    };
    let left_behind = fault.filter(|_| !positions.is_empty()).map(|fault| LeftBehind { positions, fault });
    Leftover { fitting, left_behind, behind: in_log.saturating_sub(next), lost: 0..0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rows::Counter;

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

    fn left(positions: Range<u64>, fault: Fault) -> Option<LeftBehind> {
        Some(LeftBehind { positions, fault })
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
            assert_eq!(
                judged(kept, in_log, None),
                Leftover { fitting, left_behind: None, behind, lost: 0..0 }
            );
        }
    }

    #[test]
    fn behind_a_gap_nothing_fits() {
        let gap = Fault::Gap { in_log: 2, kept_from: 5 };
        assert_eq!(judged(5..9, 2, None).left_behind, left(2..9, gap));
        assert!(judged(5..9, 2, None).fitting.is_empty());
    }

    #[test]
    fn nothing_of_another_history_fits() {
        for in_log in [4, 7, 9, 12] {
            let judged = judged(0..9, in_log, Some(other(3)));
            assert!(judged.fitting.is_empty());
            assert_eq!(judged.left_behind, left(3..9, other(3)), "a log of {in_log}");
        }
    }

    #[test]
    fn a_row_that_cannot_be_compared_matters_only_if_something_follows() {
        let fault = Fault::Unreadable { position: 4, detail: String::new() };
        assert_eq!(judged(0..9, 5, Some(fault.clone())).left_behind, left(5..9, fault.clone()));
        assert_eq!(judged(0..5, 5, Some(fault)).left_behind, None);
    }
}
