//! The follower's looks at the log: it waits for topics, and for a log that lost its end to be healed.

use std::sync::atomic::Ordering;

use event_log::topics::{self, TopicError, Watermarks};
use schemas::place::Place;
use schemas::sequence::Sequence;

use super::place::places;
use super::source::Source;
use super::{FollowError, Follower, RETRY_PAUSE};
use crate::kernel::aggregate::Aggregate;
use crate::kernel::group::GroupError;
use crate::kernel::keys;
use crate::kernel::rows::decode_reached;

impl<A: Aggregate> Follower<A> {
    /// All partitions of all followed topics, each from its checkpoint; waits until the topics exist.
    pub(super) fn sources(&self) -> Result<Vec<Source>, FollowError> {
        let mut sources = Vec::new();
        for (table, followed) in A::FOLLOWS.iter().enumerate() {
            let missing = || TopicError::Missing { topic: self.kafka.topic_name(followed.topic) };
            let partitions =
                self.insist(|| topics::partition_count(&self.kafka, followed.topic)?.ok_or_else(missing))?;
            let known = self.partitions_followed(table)?;
            if known != 0 && known != partitions {
                let topic = self.kafka.topic_name(followed.topic);
                return Err(FollowError::PartitionCount { topic, actual: partitions, known });
            }
            let all: Vec<_> = (0..partitions).map(|partition| (followed.topic, partition)).collect();
            let watermarks = self.insist(|| topics::all_watermarks(&self.kafka, &all))?;
            for (partition, marks) in (0..).zip(watermarks) {
                sources.push(self.source(table, partition, marks.high)?);
            }
        }
        Ok(sources)
    }

    fn source(&self, table: usize, partition: i32, ready_offset: i64) -> Result<Source, FollowError> {
        let value = self.store.get(&keys::checkpoint(table, partition)).map_err(GroupError::from)?;
        let reached = value.map(|value| decode_reached(&value)).transpose();
        let reached = reached.map_err(GroupError::from)?.unwrap_or_default();
        let sequence = Sequence::resume(reached);
        Ok(Source { table, partition, next_offset: reached.offset, sequence, ready_offset })
    }

    /// Partitions of a topic that have a checkpoint: all, or none if it has never been followed.
    fn partitions_followed(&self, table: usize) -> Result<i32, FollowError> {
        let checkpoints = self.store.scan(&keys::checkpoints(table), usize::MAX).map_err(GroupError::from)?;
        Ok(checkpoints.len() as i32)
    }

    /// Brings every source to the offset where its next event is now, once the log has it. While the end of the log is
    /// missing, following counts as stopped.
    pub(super) fn find_places(&self, sources: &mut [Source]) -> Result<(), FollowError> {
        let mut told = String::new();
        while !self.stopping.load(Ordering::Relaxed) {
            let log = self.watermarks(sources)?;
            match places(&self.kafka, A::FOLLOWS, sources, &log) {
                Err(error) => tracing::warn!(error = %error, "the log cannot be looked at yet"),
                Ok(places) => match self.lost(sources, &log, &places) {
                    None => {
                        go_on_at(sources, &places);
                        self.positions.go_on();
                        return Ok(());
                    }
                    Some(error) if error.to_string() != told => {
                        told = error.to_string();
                        tracing::warn!("not following yet: {told}; trying again");
                        self.positions.stop(told.clone());
                    }
                    Some(_) => {}
                },
            }
            std::thread::sleep(RETRY_PAUSE);
        }
        Err(FollowError::Stopping)
    }

    /// What the log holds of every source.
    pub(super) fn watermarks(&self, sources: &[Source]) -> Result<Vec<Watermarks>, FollowError> {
        let of = |source: &Source| (A::FOLLOWS[source.table].topic, source.partition);
        let all: Vec<_> = sources.iter().map(of).collect();
        let log = self.insist(|| topics::all_watermarks(&self.kafka, &all))?;
        for (source, held) in sources.iter().zip(&log) {
            if source.sequence.reached().offset < held.low {
                let topic = self.kafka.topic_name(A::FOLLOWS[source.table].topic);
                let (partition, offset, low) = (source.partition, source.next_offset, held.low);
                return Err(FollowError::FrontDeleted { topic, partition, offset, low });
            }
        }
        Ok(log)
    }

    fn lost(&self, sources: &[Source], log: &[Watermarks], places: &[Place]) -> Option<FollowError> {
        let ((source, held), _) =
            sources.iter().zip(log).zip(places).find(|(_, place)| **place == Place::Lost)?;
        Some(FollowError::WentBack {
            topic: self.kafka.topic_name(A::FOLLOWS[source.table].topic),
            partition: source.partition,
            high: held.high,
            next_position: source.sequence.next_position(),
        })
    }

    /// Asks until there is an answer: the other service may not have started yet, Kafka may be away. While a topic is gone
    /// that was followed before, following counts as stopped.
    pub(super) fn insist<T>(&self, ask: impl Fn() -> Result<T, TopicError>) -> Result<T, FollowError> {
        let mut told = String::new();
        while !self.stopping.load(Ordering::Relaxed) {
            let problem = match ask() {
                Ok(answer) => return Ok(answer),
                Err(TopicError::Missing { topic }) if self.was_followed(&topic)? => {
                    let gone = FollowError::Gone { topic }.to_string();
                    self.positions.stop(gone.clone());
                    gone
                }
                Err(error) => error.to_string(),
            };
            if problem != told {
                tracing::warn!("not following yet: {problem}; trying again");
                told = problem;
            }
            std::thread::sleep(RETRY_PAUSE);
        }
        Err(FollowError::Stopping)
    }

    fn was_followed(&self, full_topic: &str) -> Result<bool, FollowError> {
        let table =
            A::FOLLOWS.iter().position(|followed| self.kafka.topic_name(followed.topic) == full_topic);
        table.map_or(Ok(false), |table| Ok(self.partitions_followed(table)? > 0))
    }
}

fn go_on_at(sources: &mut [Source], places: &[Place]) {
    for (source, place) in sources.iter_mut().zip(places) {
        if let Place::At(offset) = place {
            source.next_offset = *offset;
            source.sequence.go_on_at(*offset);
        }
    }
}
