//! One partition as it is projected: its place in the log, and what to say where it stops.

use std::sync::Arc;

use daybook_stream::{PartitionState, Refusal, Unowned, share_log_ids};
use jiff::Timestamp;
use uuid::Uuid;

use super::checkpoint::{Checkpoint, SourceCheckpoint, SourceId};
use super::projection::Projection;
use super::stop::{RecordAt, StopReason};

/// What has been done since an engine was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub applied: u64,
    /// Records recognised as repeated.
    pub duplicates: u64,
    /// Records of writers that others had superseded.
    pub superseded: u64,
    /// Time of the event projected last.
    pub last_event_at: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) id: SourceId,
    pub(super) state: PartitionState,
    /// Whether the projection has its topic.
    is_projected: bool,
}

/// All partitions of a checkpoint, in its order.
pub(super) fn sources<E>(projection: &Projection<E>, checkpoint: &Checkpoint) -> Vec<Source> {
    let service = |topic: &str| projection.topics.iter().find(|known| known.name == topic);
    let source = |(id, at): (&SourceId, &SourceCheckpoint)| {
        let topic = service(&id.topic);
        let service = topic.map_or("", |topic| topic.service);
        let state = PartitionState::resume(Arc::clone(&id.topic), id.partition, service, at.reached());
        let state = state.with_read(at.next_offset, at.set_aside);
        Source { id: id.clone(), state, is_projected: topic.is_some() }
    };
    let mut sources = checkpoint.sources().map(source).collect::<Vec<_>>();
    share_log_ids(sources.iter_mut().map(|source| &mut source.state));
    sources
}

impl SourceId {
    /// A record of it.
    pub(crate) fn at(&self, offset: i64, event_id: Option<Uuid>) -> Box<RecordAt> {
        let Self { topic, partition } = self;
        Box::new(RecordAt { topic: topic.to_string(), partition: *partition, offset, event_id })
    }
}

impl Source {
    /// A read model of other topics is none of this projection.
    pub(super) fn check_topic(&self, offset: i64) -> Result<(), StopReason> {
        if self.is_projected { Ok(()) } else { Err(StopReason::UnknownTopic { at: self.at(offset, None) }) }
    }

    /// Why an event must stop the projection.
    pub(super) fn stop(&self, offset: i64, refusal: Refusal) -> StopReason {
        let Refusal { id, error } = refusal;
        StopReason::Sequence { at: self.at(offset, Some(id)), error }
    }

    /// Why a record that is no event of this partition has to wait.
    pub(super) fn unowned(&self, offset: i64, why: Unowned) -> StopReason {
        StopReason::unowned(self.at(offset, None), why)
    }

    pub(super) fn at(&self, offset: i64, event_id: Option<Uuid>) -> Box<RecordAt> {
        self.id.at(offset, event_id)
    }

    pub(super) fn checkpoint(&self) -> SourceCheckpoint {
        let reached = self.state.reached();
        SourceCheckpoint {
            next_offset: self.state.next_offset(),
            next_position: reached.next_position,
            last_id: reached.last_id,
            resume_offset: reached.offset,
            epoch: reached.epoch,
            log_id: reached.log_id,
            set_aside: self.state.set_aside(),
        }
    }
}
