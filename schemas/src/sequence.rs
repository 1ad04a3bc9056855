//! The check of positions: each partition's positions are contiguous from 0, which proves or excludes loss.
//!
//! One rule for every reader of the log, the read model and service C's own tables alike. A record is applied if its
//! position is the next one; it is a duplicate if that position has been applied with the same id; anything else is
//! evidence that the log is not what was written, and stops the reader.

use std::collections::VecDeque;

use uuid::Uuid;

/// How many ids of applied events are remembered per partition, to tell a duplicate from a fork.
///
/// A relay that lost its connection repeats at most what it had in flight; older positions are known to have been
/// applied, but no longer with which id. 16 bytes each.
pub const RECENT_IDS_MAX: usize = 1024;

/// Where a reader stands in the positions of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sequence {
    next: u64,
    recent: VecDeque<Uuid>,
}

/// What to do with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the next one.
    Apply,
    /// It has been applied before.
    Duplicate,
}

/// Why a record must neither be applied nor skipped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    /// Positions are missing.
    #[error("gap: position {expected} was expected, {found} was found, so {} event(s) are missing", found - expected)]
    Gap {
        /// The position that should have come.
        expected: u64,
        /// The position that came.
        found: u64,
    },
    /// One position, two events.
    #[error(
        "fork: position {position} was applied as event {applied}, and now comes as event {found}: two writers wrote this partition"
    )]
    Fork {
        /// The position both claim.
        position: u64,
        /// Id of the event that was applied.
        applied: Uuid,
        /// Id of the event that came now.
        found: Uuid,
    },
}

impl Sequence {
    /// Before the first event of a partition.
    #[must_use]
    pub fn start() -> Self {
        Self::default()
    }

    /// After `next` events, of which the last had id `last_id`, as a checkpoint keeps it.
    #[must_use]
    pub fn resume(next: u64, last_id: Option<Uuid>) -> Self {
        Self { next, recent: last_id.into_iter().collect() }
    }

    /// The position that must come next; equally the number of events applied.
    #[must_use]
    pub fn next_position(&self) -> u64 {
        self.next
    }

    /// Id of the event applied last.
    #[must_use]
    pub fn last_id(&self) -> Option<Uuid> {
        self.recent.back().copied()
    }

    /// Judges a record without changing anything.
    ///
    /// # Errors
    /// [`SequenceError`] for a gap or a fork.
    pub fn check(&self, position: u64, id: Uuid) -> Result<Verdict, SequenceError> {
        if position == self.next {
            return Ok(Verdict::Apply);
        }
        if position > self.next {
            return Err(SequenceError::Gap { expected: self.next, found: position });
        }
        match self.applied_id(position) {
            Some(applied) if applied != id => Err(SequenceError::Fork { position, applied, found: id }),
            _ => Ok(Verdict::Duplicate),
        }
    }

    /// Notes that the event of the next position has been applied.
    pub fn advance(&mut self, id: Uuid) {
        self.next += 1;
        if self.recent.len() == RECENT_IDS_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(id);
    }

    fn applied_id(&self, position: u64) -> Option<Uuid> {
        let back = usize::try_from(self.next - position).ok()?;
        self.recent.len().checked_sub(back).map(|at| self.recent[at])
    }
}
