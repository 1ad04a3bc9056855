//! The check of positions: each partition's positions are contiguous from 0, which proves or excludes loss; and which
//! writer they come from.
//!
//! One rule for every reader of the log, the read model and service C's own tables alike. In a partition the highest
//! epoch of a writer that was met so far is in force. A record of a lower one is fenced, and so is a claim
//! ([`crate::claim`]) of an epoch that is not higher: a later one had fenced its writer before it was written here.
//! It is skipped. Of the rest, an event is applied if its position is the next one; it is a duplicate if that position has
//! been applied with the same id; anything else is evidence that the log is not what was written, and stops the reader.
//!
//! Positions alone do not tell one log from another: a topic that was recreated, or another cluster's, may continue where
//! this one stood. So each event names the one before it, and a partition's first event the log that it belongs to: an id that all
//! partitions of a topic share. An event that names another one is not applied, whenever and wherever the reader was led
//! astray. Events that name none, of programs from before there were links or of others, are taken by their positions.
//!
//! What is in force at a place follows from all that lies before it. So a reader that resumes from a checkpoint resumes
//! right behind the event that it applied last, with the epoch that was in force there.

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
    epoch: u32,
    /// Right behind the event applied last, and the epoch in force there.
    behind: (i64, u32),
    log_id: Option<Uuid>,
}

/// How far a reader has applied a partition: the place right behind the event applied last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reached {
    pub offset: i64,
    pub epoch: u32,
    /// The position that must come next; equally the number of events applied.
    pub next_position: u64,
    pub last_id: Option<Uuid>,
    /// Id of the log that the partition belongs to, if an event of its topic named one.
    pub log_id: Option<Uuid>,
}

/// What to do with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Apply,
    Duplicate,
    /// Its writer has been fenced by a later one. Skip it.
    Fenced,
    /// It is no event: a writer claims the partition, and is in force from here on.
    Claim,
}

/// Why a record must neither be applied nor skipped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    #[error(
        "gap: position {expected} was expected, {found} was found, so {} event(s) are missing{}",
        found - expected,
        not_filled(*set_aside)
    )]
    Gap { expected: u64, found: u64, set_aside: u64 },
    #[error(
        "fork: position {position} was applied as event {applied}, and now appears as event {found}: two writers wrote this partition, \
         the topic was recreated, or this is another cluster"
    )]
    Fork { position: u64, applied: Uuid, found: Uuid },
    #[error(
        "another log: the event at position {position} follows {expected} in the log that was read, but names {found}: the topic \
         was recreated, or this is another cluster"
    )]
    OtherLog { position: u64, expected: Uuid, found: Uuid },
}

fn not_filled(set_aside: u64) -> String {
    match set_aside {
        0 => String::new(),
        set_aside => format!(", and {set_aside} record(s) with a key were set aside before it"),
    }
}

impl Sequence {
    pub fn resume(reached: Reached) -> Self {
        let Reached { offset, epoch, next_position, last_id, log_id } = reached;
        let recent = last_id.into_iter().collect();
        Self { next: next_position, recent, epoch, behind: (offset, epoch), log_id }
    }

    pub fn reached(&self) -> Reached {
        let (offset, epoch) = self.behind;
        Reached { offset, epoch, next_position: self.next, last_id: self.last_id(), log_id: self.log_id }
    }

    /// Reading resumes at `offset`. Anywhere but right behind the event applied last, the log is not the one that was
    /// read, and what is in force in it follows from reading it from its beginning, which is expected then.
    pub fn seek(&mut self, offset: i64) {
        if self.behind.0 != offset {
            self.behind = (offset, 0);
        }
        self.epoch = self.behind.1;
    }

    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The position that must come next; equally the number of events applied.
    pub fn next_position(&self) -> u64 {
        self.next
    }

    pub fn last_id(&self) -> Option<Uuid> {
        self.recent.back().copied()
    }

    /// Id of the log that the partition belongs to, as far as it is known.
    pub fn log_id(&self) -> Option<Uuid> {
        self.log_id
    }

    /// An event of the same topic, this partition's or another's first one, names this log.
    pub fn belongs_to(&mut self, log_id: Uuid) {
        self.log_id.get_or_insert(log_id);
    }

    pub fn check_claim(&self, epoch: u32) -> Verdict {
        if epoch > self.epoch { Verdict::Claim } else { Verdict::Fenced }
    }

    /// Judges an event without changing anything.
    /// Errors: [`SequenceError`] for a gap, a fork, or an event of another log.
    pub fn check(
        &self,
        epoch: u32,
        position: u64,
        id: Uuid,
        previous_id: Option<Uuid>,
    ) -> Result<Verdict, SequenceError> {
        if epoch < self.epoch {
            return Ok(Verdict::Fenced);
        }
        if position == self.next {
            let before = if self.next == 0 { self.log_id } else { self.last_id() };
            return match (before, previous_id) {
                (Some(expected), Some(found)) if expected != found => {
                    Err(SequenceError::OtherLog { position, expected, found })
                }
                _ => Ok(Verdict::Apply),
            };
        }
        if position > self.next {
            return Err(SequenceError::Gap { expected: self.next, found: position, set_aside: 0 });
        }
        match self.applied_id(position) {
            Some(applied) if applied != id => Err(SequenceError::Fork { position, applied, found: id }),
            _ => Ok(Verdict::Duplicate),
        }
    }

    /// Notes what was made of the record at `offset`.
    pub fn pass(&mut self, verdict: Verdict, epoch: u32, id: Uuid, offset: i64) {
        // A repetition puts no writer in force: its own writer's claim did, long ago. Else a copy with another epoch would fence
        // the present writer, without a claim that could be noticed.
        if verdict != Verdict::Duplicate {
            self.epoch = self.epoch.max(epoch);
        }
        if verdict == Verdict::Apply {
            self.advance(id);
        }
        // A place is found again by the event before it, with its epoch.
        let is_of_writer = verdict == Verdict::Duplicate && epoch == self.epoch;
        let is_last = is_of_writer && self.last_id() == Some(id);
        if verdict == Verdict::Apply || is_last {
            self.behind = (offset + 1, self.epoch);
        }
    }

    fn advance(&mut self, id: Uuid) {
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
