//! One partition as it is projected: its events must come from its service, one position after the other.

use jiff::Timestamp;
use schemas::envelope;
use schemas::sequence::{Sequence, Verdict};
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
    /// Time of the event projected last.
    pub last_event_at: Option<Timestamp>,
}

/// The place of one partition, and the check of its next record.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) id: SourceId,
    service: &'static str,
    pub(super) next_offset: i64,
    sequence: Sequence,
    /// Records whose position is not known yet.
    pub(super) unplaced: Vec<Unplaced>,
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
        unplaced: Vec::new(),
    };
    checkpoint.sources().map(source).collect()
}

impl Source {
    /// An event must come from the service of its topic and name its partition; its position must be the next one.
    pub(super) fn check(
        &self,
        from: &envelope::Source<'_>,
        position: u64,
        event_id: Uuid,
        offset: i64,
    ) -> Result<Verdict, StopReason> {
        self.check_origin(from, event_id, offset)?;
        let verdict = self.sequence.check(position, event_id);
        verdict.map_err(|error| StopReason::Sequence { at: self.at(offset, Some(event_id)), error })
    }

    /// An event must come from the service of its topic and name its partition.
    pub(super) fn check_origin(
        &self,
        from: &envelope::Source<'_>,
        event_id: Uuid,
        offset: i64,
    ) -> Result<(), StopReason> {
        if self.is_from(from) {
            return Ok(());
        }
        let expected = format!("/{}/{}", self.service, self.id.partition);
        let at = self.at(offset, Some(event_id));
        Err(StopReason::ForeignSource { at, found: from.to_string(), expected })
    }

    pub(super) fn is_from(&self, from: &envelope::Source<'_>) -> bool {
        from.service == self.service && from.partition == self.id.partition
    }

    /// The position that must come next.
    pub(super) fn next_position(&self) -> u64 {
        self.sequence.next_position()
    }

    /// Notes that the record at `offset` has been dealt with.
    pub(super) fn passed(&mut self, verdict: Verdict, event_id: Uuid, offset: i64) {
        if verdict == Verdict::Apply {
            self.sequence.advance(event_id);
        }
        self.next_offset = offset + 1;
    }

    pub(super) fn at(&self, offset: i64, event_id: Option<Uuid>) -> Box<RecordAt> {
        let SourceId { topic, partition } = &self.id;
        Box::new(RecordAt { topic: topic.to_string(), partition: *partition, offset, event_id })
    }

    pub(super) fn checkpoint(&self) -> SourceCheckpoint {
        SourceCheckpoint {
            // What has no position yet is read again after a restart.
            next_offset: self.unplaced.first().map_or(self.next_offset, |first| first.offset),
            next_position: self.sequence.next_position(),
            last_id: self.sequence.last_id(),
        }
    }
}
