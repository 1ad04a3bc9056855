//! One partition as it is projected: its events must come from its service, one position after the other.

use daybook_event::claim::Claim;
use daybook_event::doubt::Counted;
use daybook_event::envelope;
use daybook_event::event_data::Opened;
use daybook_event::place::Stamp as PlaceStamp;
use daybook_event::sequence::{Reached, Sequence, Verdict};
use jiff::Timestamp;
use uuid::Uuid;

use super::checkpoint::{Checkpoint, SourceCheckpoint, SourceId};
use super::projection::Projection;
use super::quarantine::Unplaced;
use super::stop::{RecordAt, StopReason};

/// What has been done since an engine was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events projected.
    pub applied: u64,
    /// Records recognised as repeated.
    pub duplicates: u64,
    /// Records of writers that others had superseded.
    pub superseded: u64,
    /// Time of the event projected last.
    pub last_event_at: Option<Timestamp>,
}

impl Counts {
    /// Counts a record that is not applied.
    pub(super) fn skipped(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Duplicate => self.duplicates += 1,
            Verdict::Superseded => self.superseded += 1,
            Verdict::Apply | Verdict::Claim => {}
        }
    }
}

/// What an event says of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp<'e> {
    pub(super) from: &'e envelope::Source<'e>,
    /// Of its writer.
    pub(super) epoch: u32,
    pub(super) position: u64,
    pub(super) id: Uuid,
    /// What it names as the event before it, or as its log.
    pub(super) previous_id: Option<Uuid>,
}

impl<'e> Stamp<'e> {
    #[inline]
    pub(super) fn of<E>(opened: &'e Opened<'e, E>) -> Self {
        let Opened { writer_epoch: epoch, position, id, previous_id, .. } = *opened;
        Self { from: &opened.source, epoch, position, id, previous_id }
    }
}

/// The place of one partition, and the check of its next record.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) id: SourceId,
    service: &'static str,
    pub(super) next_offset: i64,
    sequence: Sequence,
    /// What tells whether the log is still the same.
    pub(super) counted: Counted,
    /// Records whose position is not known yet.
    pub(super) unplaced: Vec<Unplaced>,
    /// Whether it was read to its end, from where reading went on last.
    pub(super) is_at_end: bool,
}

/// All partitions of a checkpoint, in its order. Partitions of topics that the projection does not know are refused as
/// foreign when their first record comes.
pub(super) fn sources<E>(projection: &Projection<E>, checkpoint: &Checkpoint) -> Vec<Source> {
    let service = |topic: &str| projection.topics.iter().find(|known| known.name == topic);
    let source = |(id, at): (&SourceId, &SourceCheckpoint)| Source {
        id: id.clone(),
        service: service(&id.topic).map_or("", |topic| topic.service),
        next_offset: at.next_offset,
        sequence: at.sequence(),
        counted: Counted::behind(
            at.last_id.map(|id| (at.resume_offset - 1, PlaceStamp { id, epoch: at.epoch })),
        ),
        unplaced: Vec::new(),
        is_at_end: false,
    };
    let mut sources = checkpoint.sources().map(source).collect::<Vec<_>>();
    share_log_ids(&mut sources);
    sources
}

/// Partitions of one topic are of one log: one of which no event was read yet knows it from the others.
pub(super) fn share_log_ids(sources: &mut [Source]) {
    let known: Vec<_> =
        sources.iter().filter_map(|of| Some((of.id.topic.clone(), of.sequence.log_id()?))).collect();
    for source in sources {
        if let Some((_, log_id)) = known.iter().find(|(topic, _)| *topic == source.id.topic) {
            source.sequence.belongs_to(*log_id);
        }
    }
}

impl Source {
    /// Judges an event by what it says of itself: it must come from the service of its topic and name its partition, and its
    /// position must be the next one, unless its writer is superseded.
    #[inline]
    pub(super) fn check(&self, stamp: &Stamp<'_>, offset: i64) -> Result<Verdict, StopReason> {
        self.check_origin(stamp.from, stamp.id, offset)?;
        let verdict = self.sequence.check(stamp.epoch, stamp.position, stamp.id, stamp.previous_id);
        verdict.map_err(|error| StopReason::Sequence { at: self.at(offset, Some(stamp.id)), error })
    }

    /// Judges a writer's claim.
    pub(super) fn check_claim(&self, claim: &Claim<'_>, offset: i64) -> Result<Verdict, StopReason> {
        self.check_origin(&claim.source, claim.id, offset)?;
        Ok(self.sequence.check_claim(claim.epoch))
    }

    pub(super) fn check_origin(
        &self,
        from: &envelope::Source<'_>,
        id: Uuid,
        offset: i64,
    ) -> Result<(), StopReason> {
        if self.is_from(from) {
            return Ok(());
        }
        let expected = format!("/{}/{}", self.service, self.id.partition);
        let at = self.at(offset, Some(id));
        Err(StopReason::ForeignSource { at, found: from.to_string(), expected })
    }

    fn is_from(&self, from: &envelope::Source<'_>) -> bool {
        from.service == self.service && from.partition == self.id.partition
    }

    /// Whether an event says where the one before it has its place: it is of this partition, and of the writer in force.
    pub(super) fn counts(&self, stamp: &Stamp<'_>) -> bool {
        self.is_from(stamp.from) && stamp.epoch >= self.sequence.epoch()
    }

    /// The position that must come next.
    pub(super) fn next_position(&self) -> u64 {
        self.sequence.next_position()
    }

    /// The epoch in force.
    pub(super) fn epoch(&self) -> u32 {
        self.sequence.epoch()
    }

    /// Notes that the event at `offset` has been dealt with.
    pub(super) fn passed(&mut self, verdict: Verdict, stamp: &Stamp<'_>, offset: i64) {
        if let (Verdict::Apply, 0, Some(log_id)) = (verdict, stamp.position, stamp.previous_id) {
            self.sequence.belongs_to(log_id);
        }
        self.passed_record(verdict, stamp.epoch, stamp.id, offset);
    }

    /// Notes that the record at `offset` has been dealt with.
    pub(super) fn passed_record(&mut self, verdict: Verdict, epoch: u32, id: Uuid, offset: i64) {
        // A repetition of the event applied last would do to go on behind, if nothing before it were still to be read again.
        let passed = match verdict {
            Verdict::Duplicate if !self.unplaced.is_empty() => Verdict::Superseded,
            verdict => verdict,
        };
        self.sequence.pass(passed, epoch, id, offset);
        match passed {
            Verdict::Apply => self.counted.event(offset, PlaceStamp { id, epoch }),
            Verdict::Claim => self.counted.claim(offset, PlaceStamp { id, epoch }),
            Verdict::Duplicate | Verdict::Superseded => {}
        }
        self.next_offset = self.next_offset.max(offset + 1);
    }

    /// Where reading goes on: right behind the event applied last.
    pub(super) fn resume_offset(&self) -> i64 {
        self.sequence.reached().offset
    }

    /// Reading goes on at another place; returns whether it is another one.
    pub(super) fn go_on_at(&mut self, offset: i64) -> bool {
        // What lay behind the event applied last comes again, if the log still has it.
        let moved = (self.resume_offset(), self.next_offset) != (offset, offset);
        let Reached { last_id, epoch, .. } = self.sequence.reached();
        let before = last_id.filter(|_| self.resume_offset() == offset);
        self.counted = Counted::behind(before.map(|id| (offset - 1, PlaceStamp { id, epoch })));
        self.sequence.go_on_at(offset);
        self.next_offset = offset;
        moved
    }

    pub(super) fn at(&self, offset: i64, event_id: Option<Uuid>) -> Box<RecordAt> {
        let SourceId { topic, partition } = &self.id;
        Box::new(RecordAt { topic: topic.to_string(), partition: *partition, offset, event_id })
    }

    pub(super) fn checkpoint(&self) -> SourceCheckpoint {
        let reached = self.sequence.reached();
        SourceCheckpoint {
            // What has no position yet is still to come.
            next_offset: self.unplaced.first().map_or(self.next_offset, |first| first.offset),
            next_position: reached.next_position,
            last_id: reached.last_id,
            resume_offset: reached.offset,
            epoch: reached.epoch,
            log_id: reached.log_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_lay_behind_the_last_event_is_not_taken_for_read_when_reading_goes_on_before_it() {
        let id = SourceId { topic: Arc::from("users.events"), partition: 0 };
        let sequence = Sequence::start();
        let (unplaced, is_at_end) = (Vec::new(), false);
        let mut source = Source {
            id,
            service: "users",
            sequence,
            next_offset: 0,
            counted: Counted::default(),
            unplaced,
            is_at_end,
        };
        let (event, claim) = (Uuid::from_u128(1), Uuid::from_u128(2));
        source.passed_record(Verdict::Apply, 1, event, 0);
        source.passed_record(Verdict::Claim, 2, claim, 1);
        assert_eq!((source.resume_offset(), source.checkpoint().next_offset), (1, 2));
        // The claim was at the end that the log has lost.
        assert!(source.go_on_at(1));
        assert_eq!((source.resume_offset(), source.checkpoint().next_offset), (1, 1));
        assert!(!source.go_on_at(1));
    }
}
