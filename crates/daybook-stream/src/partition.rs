//! Where a reader stands in one partition: all that decides what the next record is.

use std::sync::Arc;

use daybook_event::doubt::Counted;
use daybook_event::envelope::Source;
use daybook_event::place::Stamp;
use daybook_event::sequence::{Reached, Sequence, Verdict};
use uuid::Uuid;

use crate::admit::{Identity, Passed, Passing};
use crate::set_aside::{Pending, SetAside};

#[derive(Debug, Clone)]
pub struct PartitionState {
    topic: Arc<str>,
    partition: i32,
    service: &'static str,
    pub(crate) sequence: Sequence,
    next_offset: i64,
    counted: Counted,
    front: Front,
    pub(crate) pending: Pending,
    set_aside: SetAside,
}

/// What is known of all that lies before the next record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Front {
    /// Whatever follows from it.
    Known,
    /// The log's front is gone, and no event of it has been read: it begins at any position. Whether a claim was read.
    Gone { claimed: bool },
    /// Events of this epoch, whose claim is gone with the front. They may be what a writer that was fenced still sent: one of a higher
    /// epoch without a claim before it says so.
    Unclaimed { epoch: u32, claimed: bool },
}

impl PartitionState {
    /// Resumes behind what was reached. `service` is the only one that writes the topic.
    pub fn resume(topic: Arc<str>, partition: i32, service: &'static str, reached: Reached) -> Self {
        let before = reached.last_id.map(|id| (reached.offset - 1, Stamp { id, epoch: reached.epoch }));
        Self {
            topic,
            partition,
            service,
            sequence: Sequence::resume(reached),
            next_offset: reached.offset,
            counted: Counted::behind(before),
            front: Front::Known,
            pending: Pending::default(),
            set_aside: SetAside::default(),
        }
    }

    /// The same of a log whose front is gone: its first event has any position.
    pub fn without_front(topic: Arc<str>, partition: i32, service: &'static str, low: i64) -> Self {
        let state = Self::resume(topic, partition, service, Reached { offset: low, ..Reached::default() });
        Self { front: Front::Gone { claimed: false }, ..state }
    }

    /// What was set aside before, and up to which offset the partition was read, behind the event applied last.
    #[must_use]
    pub fn with_read(self, next_offset: i64, set_aside: SetAside) -> Self {
        Self { next_offset, set_aside, ..self }
    }

    /// A record whose id is made from its bytes has taken a position before.
    pub fn was_placed(&mut self, id: Uuid) {
        self.pending.was_placed(id);
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    pub fn partition(&self) -> i32 {
        self.partition
    }

    pub fn sequence(&self) -> &Sequence {
        &self.sequence
    }

    pub fn reached(&self) -> Reached {
        self.sequence.reached()
    }

    pub fn next_position(&self) -> u64 {
        self.sequence.next_position()
    }

    /// Offset of the first record that was not read.
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// Offset right behind the event applied last, where reading resumes.
    pub fn resume_offset(&self) -> i64 {
        self.sequence.reached().offset
    }

    /// What shows whether the log is still the same.
    pub fn counted(&self) -> &Counted {
        &self.counted
    }

    pub fn set_aside(&self) -> SetAside {
        self.set_aside
    }

    /// Reading resumes at another place, or at the same one; returns whether it is another one. Anywhere but right behind the event
    /// applied last, everything is read again.
    pub fn seek(&mut self, offset: i64) -> bool {
        let Reached { offset: resume_offset, last_id, epoch, .. } = self.reached();
        let moved = (resume_offset, self.next_offset) != (offset, offset);
        let before = last_id.filter(|_| resume_offset == offset);
        self.counted = Counted::behind(before.map(|id| (offset - 1, Stamp { id, epoch })));
        self.pending.clear();
        if resume_offset != offset {
            self.set_aside = SetAside::default();
        }
        self.sequence.seek(offset);
        self.next_offset = offset;
        moved
    }

    /// An event of the same topic names this log.
    pub fn belongs_to(&mut self, log_id: Uuid) {
        self.sequence.belongs_to(log_id);
    }

    /// Whether an event says that it is of this partition.
    pub(crate) fn is_from(&self, from: &Source<'_>) -> bool {
        from.service == self.service && from.partition == self.partition
    }

    pub(crate) fn source(&self) -> Source<'static> {
        Source { service: self.service.into(), partition: self.partition }
    }

    /// Where the front is gone: the sequence that begins at this event, unless its writer was fenced before, or others continue from it.
    pub(crate) fn begins_at(&self, event: &Identity<'_>, offset: i64) -> Option<Sequence> {
        let begins = match self.front {
            Front::Known => false,
            Front::Gone { .. } => event.epoch >= self.sequence.epoch(),
            Front::Unclaimed { epoch, .. } => event.epoch > epoch && event.epoch >= self.sequence.epoch(),
        };
        let (epoch, next_position) = (event.epoch, event.position);
        begins
            .then(|| Sequence::resume(Reached { offset, epoch, next_position, last_id: None, log_id: None }))
    }

    /// Notes what was made of a record.
    pub fn advance(&mut self, passing: Passing) {
        let offset = match passing.0 {
            Passed::SetAside { offset, candidate } => {
                self.set_aside.count(offset);
                if let Some(candidate) = candidate {
                    self.pending.push(*candidate);
                }
                offset
            }
            Passed::Ours { verdict, epoch, id, offset, log_id, begins, placed } => {
                if let Some(sequence) = begins {
                    self.begin(*sequence, epoch);
                }
                for record in placed {
                    self.pending.was_placed(record.id);
                    let id = record.named.unwrap_or(record.id);
                    self.sequence.pass(Verdict::Apply, self.sequence.epoch(), id, record.offset);
                }
                if let Some(log_id) = log_id {
                    self.sequence.belongs_to(log_id);
                }
                self.pass(verdict, epoch, id, offset);
                offset
            }
        };
        self.next_offset = self.next_offset.max(offset + 1);
    }

    fn begin(&mut self, sequence: Sequence, epoch: u32) {
        self.sequence = sequence;
        self.front = match self.front {
            Front::Gone { claimed: false } | Front::Unclaimed { claimed: false, .. } => {
                Front::Unclaimed { epoch, claimed: false }
            }
            _ => Front::Known,
        };
    }

    #[inline]
    fn pass(&mut self, verdict: Verdict, epoch: u32, id: Uuid, offset: i64) {
        // A repetition of the event applied last would do to resume behind, if what was set aside before it had not to be read again.
        if verdict != Verdict::Duplicate || self.pending.is_empty() {
            self.sequence.pass(verdict, epoch, id, offset);
        }
        match verdict {
            Verdict::Apply => {
                self.counted.event(offset, Stamp { id, epoch });
                self.pending.clear();
            }
            Verdict::Claim => {
                self.counted.claim(offset, Stamp { id, epoch });
                if let Front::Gone { claimed } | Front::Unclaimed { claimed, .. } = &mut self.front {
                    *claimed = true;
                }
            }
            Verdict::Duplicate | Verdict::Fenced => {}
        }
    }
}

/// Partitions of one topic are of one log: one of which no event was read yet knows it from the others.
pub fn share_log_ids<'s>(states: impl IntoIterator<Item = &'s mut PartitionState>) {
    let mut states: Vec<_> = states.into_iter().collect();
    let log_id = |of: &&mut PartitionState| Some((Arc::clone(&of.topic), of.sequence.log_id()?));
    let known: Vec<_> = states.iter().filter_map(log_id).collect();
    for state in &mut states {
        if let Some((_, log_id)) = known.iter().find(|(topic, _)| *topic == state.topic) {
            state.belongs_to(*log_id);
        }
    }
}
