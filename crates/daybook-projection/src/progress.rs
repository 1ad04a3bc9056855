//! How far a follower is, for those who wait and watch.

use std::collections::BTreeMap;
use std::sync::Arc;

use daybook_kafka::topics::TopicError;
use jiff::Timestamp;

use super::checkpoint::{Checkpoint, SourceId};
use super::stop::StopReason;

#[derive(Debug, Clone)]
pub enum State {
    /// It has not yet reached the end offsets that it saw when it started, or has not seen all of them; see
    /// [`Progress::left`].
    Building,
    Following,
    /// It projects no further; rows are as of the checkpoint.
    Stopped(Arc<StopReason>),
}

#[derive(Debug, Clone)]
pub struct Progress {
    pub checkpoint: Arc<Checkpoint>,
    pub state: State,
    /// The broker's end offsets as of about a second ago, of the partitions that are answered for; empty until the broker has
    /// answered.
    pub end_offsets: Arc<Vec<(SourceId, i64)>>,
    /// Partitions that nobody answers for at present, and why: what they have is not known. The others go on.
    pub away: Arc<BTreeMap<SourceId, TopicError>>,
    /// Records up to the end offsets that were seen first, of the partitions that have been answered for; none until the log
    /// was looked at. With none left while [`State::Building`], nothing is missing but what nobody answers for.
    pub left: Option<u64>,
    /// Time of the event projected last by this follower, as its envelope says.
    pub last_event_at: Option<Timestamp>,
    pub events_applied: u64,
    pub duplicates_skipped: u64,
    pub superseded_skipped: u64,
    /// By what topics lose events, or have lost some that were projected, as of the last look at them.
    pub topic_faults: Arc<Vec<TopicError>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionProgress {
    pub source: SourceId,
    pub next_offset: i64,
    pub next_position: u64,
    /// The broker's end offset, and no lower than what has been projected; `None` until it has answered, and while nobody answers for the partition.
    pub end_offset: Option<i64>,
    pub is_end_unproven: bool,
}

impl PartitionProgress {
    /// Records that the broker has and the rows do not.
    pub fn lag(&self) -> Option<u64> {
        self.end_offset.map(|end| u64::try_from(end - self.next_offset).unwrap_or(0))
    }
}

impl Progress {
    /// That of a follower which has not yet looked at the log.
    pub fn start(checkpoint: Arc<Checkpoint>) -> Self {
        Self {
            checkpoint,
            state: State::Building,
            end_offsets: Arc::default(),
            away: Arc::default(),
            left: None,
            last_event_at: None,
            events_applied: 0,
            duplicates_skipped: 0,
            superseded_skipped: 0,
            topic_faults: Arc::default(),
        }
    }

    pub fn partitions(&self) -> impl Iterator<Item = PartitionProgress> {
        self.checkpoint.sources().map(|(source, at)| PartitionProgress {
            source: source.clone(),
            next_offset: at.next_offset,
            next_position: at.next_position,
            // What was projected since the broker was asked was there.
            end_offset: self.end_offset(source).map(|end| end.max(at.next_offset)),
            is_end_unproven: at.is_end_unproven(),
        })
    }

    /// Records that the broker has and the rows do not, over all partitions; `None` until the broker has answered for all.
    pub fn lag_total(&self) -> Option<u64> {
        self.partitions().map(|partition| partition.lag()).sum()
    }

    fn end_offset(&self, source: &SourceId) -> Option<i64> {
        self.end_offsets.iter().find(|(id, _)| id == source).map(|(_, end)| *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::SourceCheckpoint;

    #[test]
    fn an_end_that_was_asked_for_before_is_no_lower_than_what_has_been_projected_since() {
        let source = SourceId { topic: "toys".into(), partition: 0 };
        let at = SourceCheckpoint { next_offset: 25, ..SourceCheckpoint::default() };
        let progress = Progress::start(Arc::new(Checkpoint::from_sources([(source.clone(), at)])));
        let asked = |end| Progress { end_offsets: Arc::new(vec![(source.clone(), end)]), ..progress.clone() };
        let shown = |end| asked(end).partitions().map(|at| (at.end_offset, at.lag())).collect::<Vec<_>>();
        assert_eq!(shown(1), [(Some(25), Some(0))]);
        assert_eq!(shown(27), [(Some(27), Some(2))]);
    }
}
