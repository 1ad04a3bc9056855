//! The follower's looks at the log: it waits for topics, and for a log that lost its end to be healed.

use std::time::Duration;

use daybook_event::place::Place;
use daybook_kafka::LogError;
use daybook_kafka::topics::{self, Held, TopicError, Watermarks};
use daybook_store::Bytes;
use daybook_stream::{Located, PartitionState, locate};

use super::partition::FollowedPartition;
use super::quarantine::Quarantine;
use super::{BATCH_RECORDS_MAX, FollowError, Follower, RETRY_PAUSE};
use crate::aggregate::Aggregate;
use crate::references::Followed;
use crate::store::fields::Damaged;
use crate::store::keys;
use crate::store::rows::{Checkpoint, RowError};

/// How long a leader may take to tell where its partitions end; one that does not is followed once it does.
const ANSWER_MAX: Duration = Duration::from_secs(5);

impl<A: Aggregate> Follower<A> {
    /// All partitions of all followed topics, each from its checkpoint; waits until the topics exist.
    pub(super) fn sources(&self, quarantine: &Quarantine) -> Result<Vec<FollowedPartition>, FollowError> {
        let mut sources = Vec::new();
        for (table, followed) in A::FOLLOWS.iter().enumerate() {
            let missing = || TopicError::Missing { topic: self.kafka.topic_name(followed.topic) };
            let partitions =
                self.retry(|| topics::partition_count(&self.kafka, followed.topic)?.ok_or_else(missing))?;
            let known = self.partitions_followed(table)?;
            if known != 0 && known != partitions {
                let topic = self.kafka.topic_name(followed.topic);
                return Err(FollowError::PartitionCount { topic, actual: partitions, known });
            }
            let all: Vec<_> = (0..partitions).map(|partition| (followed.topic, partition)).collect();
            let held = self.retry(|| self.held(&all))?;
            for (partition, held) in (0..).zip(held) {
                sources.push(self.source(table, partition, held.ok().map(|held| held.high), quarantine)?);
            }
        }
        Ok(sources)
    }

    /// What partitions hold. Not asked to the end at a stop: that waits for this thread.
    pub(super) fn held(&self, partitions: &[(&str, i32)]) -> Result<Vec<Held>, TopicError> {
        let is_over = || self.stopping.requested();
        topics::held_until(&self.kafka, partitions, ANSWER_MAX, &is_over)
    }

    fn source(
        &self,
        table: usize,
        partition: i32,
        ready_offset: Option<i64>,
        quarantine: &Quarantine,
    ) -> Result<FollowedPartition, FollowError> {
        let Followed { topic, service, form, .. } = A::FOLLOWS[table];
        let value = self.store.get(&keys::checkpoint(table, partition)).map_err(RowError::from)?;
        let checkpoint = value.map(|value| Checkpoint::decode(&value)).transpose();
        let Checkpoint { reached, set_aside, .. } = checkpoint.map_err(RowError::from)?.unwrap_or_default();
        let state = PartitionState::resume(topic.into(), partition, service, reached);
        let mut state = state.with_read(reached.offset, set_aside);
        quarantine.placed_in(table, partition).for_each(|id| state.was_placed(id));
        Ok(FollowedPartition { table, form, state, ready_offset, away: None })
    }

    /// Partitions of a topic that have a checkpoint: all, or none if it has never been followed.
    fn partitions_followed(&self, table: usize) -> Result<i32, FollowError> {
        Ok(self.rows(&keys::checkpoints(table))?.len() as i32)
    }

    /// Begins those topics again of which a program before kept something else: none of it counts any more, and what waits comes
    /// once more.
    pub(super) fn begin_other_forms(&self) -> Result<(), FollowError> {
        for (table, Followed { topic, form, .. }) in A::FOLLOWS.iter().enumerate() {
            let found = self.rows(&keys::checkpoints(table))?;
            let is_of_form = |row: &Bytes| Ok(Checkpoint::decode(row)?.form == *form);
            let are_of_form: Result<Vec<bool>, Damaged> =
                found.iter().map(|(_, row)| is_of_form(row)).collect();
            if are_of_form.map_err(RowError::from)?.into_iter().all(|is_of_form| is_of_form) {
                continue;
            }
            tracing::warn!(
                topic,
                form,
                "what is kept of a topic has another form; it is followed again from its beginning"
            );
            let [parked, waiting] = keys::quarantined(table).map(|span| self.rows(&span));
            for rows in [parked?, waiting?].concat().chunks(BATCH_RECORDS_MAX) {
                self.write(rows.iter().map(|(key, _)| (key.to_vec(), None)).collect())?;
            }
            // Last, and all of them: killed before, it begins here again.
            let begun = Checkpoint { form: *form, ..Checkpoint::default() }.encode();
            self.write(found.iter().map(|(key, _)| (key.to_vec(), Some(begun.clone()))).collect())?;
        }
        Ok(())
    }

    fn rows(&self, span: &keys::Span) -> Result<Vec<(Bytes, Bytes)>, FollowError> {
        Ok(self.store.scan(span, usize::MAX).map_err(RowError::from)?)
    }

    /// Brings every source to the offset where its next event is now, once the log has it. While the end of the log is
    /// missing, following counts as stopped. A source that nobody answers for is left out: where its next event is now is not
    /// known.
    pub(super) fn locate_all(&self, sources: &mut [FollowedPartition]) -> Result<(), FollowError> {
        while !self.stopping.requested() {
            let log = self.inspect(sources)?;
            let here: Vec<_> =
                sources.iter().zip(&log).filter_map(|(source, held)| Some((source, (*held)?))).collect();
            let problem = match self.locate(&here) {
                // Each of them is told by itself.
                _ if here.is_empty() => None,
                Err(error) => Some(format!("the log cannot be read: {error}")),
                Ok(places) => match self.lost(&here, &places) {
                    None => {
                        seek(sources, &places);
                        return Ok(());
                    }
                    Some(error) => {
                        self.positions.stop(error.to_string());
                        Some(error.to_string())
                    }
                },
            };
            if let Some(problem) = problem {
                self.reporter.fails(&problem);
            }
            self.stopping.wait(RETRY_PAUSE);
        }
        Err(FollowError::Stopping)
    }

    /// What the log holds of every source that is answered for.
    fn inspect(&self, sources: &mut [FollowedPartition]) -> Result<Vec<Option<Watermarks>>, FollowError> {
        let of = |source: &FollowedPartition| (A::FOLLOWS[source.table].topic, source.state.partition());
        let all: Vec<_> = sources.iter().map(of).collect();
        let held = self.retry(|| self.held(&all))?;
        for (source, held) in sources.iter_mut().zip(&held) {
            let Ok(held) = held else { continue };
            source.ready_offset.get_or_insert(held.high);
            if source.state.resume_offset() < held.low {
                let topic = self.kafka.topic_name(A::FOLLOWS[source.table].topic);
                let (partition, offset, low) =
                    (source.state.partition(), source.state.next_offset(), held.low);
                return Err(FollowError::FrontDeleted { topic, partition, offset, low });
            }
        }
        for (source, held) in sources.iter_mut().zip(&held) {
            let away = held.as_ref().err().map(ToString::to_string);
            if source.away.is_none()
                && let Some(away) = &away
            {
                tracing::warn!("one partition is not followed until it is answered for: {away}");
            }
            source.away = away;
        }
        self.positions.set_answers(sources.iter().map(FollowedPartition::place).zip(&held));
        self.publish(sources);
        Ok(held.into_iter().map(Result::ok).collect())
    }

    fn locate(&self, here: &[(&FollowedPartition, Watermarks)]) -> Result<Vec<Place>, TopicError> {
        let located = |(source, held): &(&FollowedPartition, Watermarks)| {
            let Followed { topic, service, .. } = A::FOLLOWS[source.table];
            let (partition, reached, held) = (source.state.partition(), source.state.reached(), *held);
            Located { topic, partition, service, reached, held }
        };
        locate(&self.kafka, &here.iter().map(located).collect::<Vec<_>>(), &|| false)
    }

    fn lost(&self, here: &[(&FollowedPartition, Watermarks)], places: &[Place]) -> Option<FollowError> {
        let ((source, held), _) = here.iter().zip(places).find(|(_, place)| **place == Place::Lost)?;
        Some(FollowError::WentBack {
            topic: self.kafka.topic_name(A::FOLLOWS[source.table].topic),
            partition: source.state.partition(),
            high: held.high,
            next_position: source.state.next_position(),
        })
    }

    /// Asks until there is an answer: the other service may not have started yet, Kafka may be away. While a topic is gone
    /// that was followed before, following counts as stopped.
    pub(super) fn retry<T>(&self, ask: impl Fn() -> Result<T, TopicError>) -> Result<T, FollowError> {
        while !self.stopping.requested() {
            let problem = match ask() {
                Ok(answer) => return Ok(answer),
                Err(TopicError::Missing { topic }) if self.was_followed(&topic)? => {
                    let gone = FollowError::Gone { topic }.to_string();
                    self.positions.stop(gone.clone());
                    gone
                }
                Err(error) => {
                    if matches!(error, TopicError::Log(LogError::Unreachable { .. })) {
                        self.wait_reachable()?;
                    }
                    error.to_string()
                }
            };
            self.reporter.fails(&problem);
            self.stopping.wait(RETRY_PAUSE);
        }
        Err(FollowError::Stopping)
    }

    /// With one client, which need not find out again each time that nobody answers.
    fn wait_reachable(&self) -> Result<(), FollowError> {
        let waiting = topics::Inspector::open(&self.kafka)?;
        while !self.stopping.requested() && waiting.wait_reachable(RETRY_PAUSE, || false).is_err() {}
        Ok(())
    }

    fn was_followed(&self, full_topic: &str) -> Result<bool, FollowError> {
        let table =
            A::FOLLOWS.iter().position(|followed| self.kafka.topic_name(followed.topic) == full_topic);
        table.map_or(Ok(false), |table| Ok(self.partitions_followed(table)? > 0))
    }
}

fn seek(sources: &mut [FollowedPartition], places: &[Place]) {
    let here = sources.iter_mut().filter(|source| source.away.is_none());
    for (source, place) in here.zip(places) {
        if let Place::At(offset) = place {
            source.state.seek(*offset);
        }
    }
}
