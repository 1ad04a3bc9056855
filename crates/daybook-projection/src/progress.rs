//! How far a follower is, for those who wait and watch.

use std::collections::BTreeMap;
use std::sync::Arc;

use daybook_kafka::topics::TopicError;
use serde::Serialize;

use super::checkpoint::{Checkpoint, SourceId};
use super::sources::Counts;
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
    /// Partitions that nobody answers for at present, and why: what they have is not known. The others are followed.
    pub away: Arc<BTreeMap<SourceId, TopicError>>,
    /// Records up to the end offsets that were seen first, of the partitions that have been answered for; none until the log
    /// was read. With none left while [`State::Building`], nothing is missing but what nobody answers for.
    pub left: Option<u64>,
    /// What this follower has done.
    pub counts: Counts,
    /// By what topics lose events, or have lost some that were projected, as of the last check.
    pub topic_faults: Arc<Vec<TopicError>>,
}

/// One partition, as `/status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionProgress {
    /// Topic without prefix.
    pub topic: Arc<str>,
    pub partition: i32,
    /// Kafka's offset of the first record that has not been projected.
    pub checkpoint: i64,
    /// The broker's end offset, and no lower than what has been projected; none until it has answered, and while nobody answers
    /// for the partition.
    pub end_offset: Option<i64>,
    /// Records that the broker has and the rows do not.
    pub lag: Option<u64>,
    /// Position of the event projected last.
    pub position: Option<u64>,
    /// Whether records were set aside behind that event: until the next one nobody knows whether they were events.
    pub end_unproven: bool,
}

impl Progress {
    /// That of a follower which has not yet reached the log.
    pub fn start(checkpoint: Arc<Checkpoint>) -> Self {
        Self {
            checkpoint,
            state: State::Building,
            end_offsets: Arc::default(),
            away: Arc::default(),
            left: None,
            counts: Counts::default(),
            topic_faults: Arc::default(),
        }
    }

    pub fn partitions(&self) -> impl Iterator<Item = PartitionProgress> {
        self.checkpoint.sources().map(|(source, at)| {
            // What was projected since the broker was asked was there.
            let end_offset = self.end_offset(source).map(|end| end.max(at.next_offset));
            PartitionProgress {
                topic: source.topic.clone(),
                partition: source.partition,
                checkpoint: at.next_offset,
                end_offset,
                lag: end_offset.map(|end| (end - at.next_offset).unsigned_abs()),
                position: at.next_position.checked_sub(1),
                end_unproven: at.is_end_unproven(),
            }
        })
    }

    /// Records that the broker has and the rows do not, over all partitions; `None` until the broker has answered for all.
    pub fn lag_total(&self) -> Option<u64> {
        self.partitions().map(|partition| partition.lag).sum()
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
        let shown = |end| asked(end).partitions().map(|at| (at.end_offset, at.lag)).collect::<Vec<_>>();
        assert_eq!(shown(1), [(Some(25), Some(0))]);
        assert_eq!(shown(27), [(Some(27), Some(2))]);
    }
}
