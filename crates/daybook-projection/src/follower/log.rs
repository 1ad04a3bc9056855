//! Where the follower resumes: it waits for a broker, for topics, and for a log that lost its end to be healed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use daybook_event::event_data::EventData;
use daybook_kafka::topics::{self, TopicError, Watermarks};
use daybook_kafka::{LogError, Start};
use daybook_service::LogOnce;

use super::following::Following;
use super::report::{publish_state, report_away};
use crate::checkpoint::{Checkpoint, SourceId};
use crate::progress::State;
use crate::sources::places;
use crate::sources::{self, TopicMismatch};
use crate::stop::StopReason;

/// How long a broker may take to answer before it counts as away; it is tried again for ever.
const REACHABLE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long each further question may take, about a topic or to a leader. The request to stop is seen between two of them: one
/// who stops waits for a few seconds at most.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause between two tries at a broker that is away, at topics that do not exist yet, or at a log that lost its end.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Where to read. Partitions that nobody answers for are left out: where their next events are now is not known.
pub(super) struct Found {
    pub(super) log: Vec<Option<Watermarks>>,
    /// The partitions that are read, by their index in the checkpoint.
    pub(super) here: Vec<usize>,
    pub(super) starts: Vec<Start>,
    pub(super) left_out: Vec<SourceId>,
}

enum Wait {
    /// No broker, a topic that is not there yet, or no broker answers for any partition.
    ForLog(String),
    /// The log ends before what has been projected.
    ForEnd(StopReason),
}

impl<E: EventData> Following<E> {
    /// Where to resume, once the log has it; `None` if the request to stop came first. While the end of the log is
    /// missing, the state is [`State::Stopped`], and stays so until all partitions are read again.
    pub(super) fn wait_until_readable(&mut self) -> Result<Option<Found>, StopReason> {
        // One client for all tries: each new one logs the same words for the log.
        let waiting = topics::Inspector::open(&self.kafka)?;
        let said = LogOnce::new();
        loop {
            let located = self.locate(&waiting)?;
            if self.stopping.requested() {
                return Ok(None);
            }
            let problem = match located {
                Ok(found) => return Ok(Some(found)),
                Err(Wait::ForLog(problem)) => problem,
                Err(Wait::ForEnd(reason)) => {
                    let problem = reason.to_string();
                    publish_state(&self.progress, State::Stopped(Arc::new(reason)));
                    problem
                }
            };
            if let Some(more) = said.say_like("fails", &problem) {
                tracing::warn!("not following yet: {problem}; trying again{more}");
            }
            self.repair()?;
            if self.stopping.wait(RETRY_AFTER) {
                return Ok(None);
            }
        }
    }

    fn locate(&self, waiting: &topics::Inspector) -> Result<Result<Found, Wait>, StopReason> {
        let unknown = |error: TopicError| Ok(Err(Wait::ForLog(error.to_string())));
        if let Err(error) = waiting.wait_reachable(REACHABLE_TIMEOUT, || false) {
            return unknown(error.into());
        }
        let checkpoint = self.generation.checkpoint();
        match sources::check_topics(&checkpoint, |topic| self.partition_count(waiting, topic)) {
            Ok(Ok(())) => {}
            Ok(Err(TopicMismatch::Partitions(reason))) => return Err(reason),
            Ok(Err(TopicMismatch::Missing { topic })) => {
                return Ok(Err(missing(&self.kafka.topic_name(&topic), checkpoint.projected_from(&topic))));
            }
            Err(error) => return unknown(error),
        }
        match self.held(waiting, &checkpoint) {
            Ok(log) => self.find(&checkpoint, log),
            Err(error) => unknown(error),
        }
    }

    fn partition_count(&self, waiting: &topics::Inspector, topic: &str) -> Result<Option<i32>, TopicError> {
        match self.stopping.requested() {
            true => Err(LogError::GivenUp.into()),
            false => waiting.partition_count(topic, ANSWER_TIMEOUT),
        }
    }

    /// What every partition holds that is answered for. Those that are known to be away are not asked for again here: a leader
    /// that does not answer would keep the others waiting.
    fn held(
        &self,
        waiting: &topics::Inspector,
        checkpoint: &Checkpoint,
    ) -> Result<Vec<Option<Watermarks>>, TopicError> {
        let known = self.progress.borrow().away.clone();
        let is_asked = |source: &&SourceId| !known.contains_key(*source);
        let asked: Vec<&SourceId> = checkpoint.sources().map(|(source, _)| source).filter(is_asked).collect();
        let partitions: Vec<_> = asked.iter().map(|source| (&*source.topic, source.partition)).collect();
        let answers = waiting.held(&partitions, ANSWER_TIMEOUT)?;
        let (mut held, mut away) = (BTreeMap::new(), BTreeMap::new());
        for (source, answer) in asked.into_iter().zip(answers) {
            match answer {
                Ok(held_here) => drop(held.insert(source, held_here)),
                Err(error) => drop(away.insert(source.clone(), error)),
            }
        }
        if !away.is_empty() {
            report_away(&self.progress, known.iter().map(|(id, why)| (id.clone(), why.clone())).chain(away));
        }
        Ok(checkpoint.sources().map(|(source, _)| held.get(source).copied()).collect())
    }

    /// Where the log has what comes next, of all partitions that are answered for.
    fn find(
        &self,
        checkpoint: &Checkpoint,
        log: Vec<Option<Watermarks>>,
    ) -> Result<Result<Found, Wait>, StopReason> {
        let (mut here, mut held, mut present, mut left_out) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (index, ((source, at), held_here)) in checkpoint.sources().zip(&log).enumerate() {
            let Some(held_here) = held_here else {
                left_out.push(source.clone());
                continue;
            };
            here.push(index);
            held.push(*held_here);
            present.push((source.clone(), *at));
        }
        if here.is_empty() {
            return Ok(Err(Wait::ForLog("no broker answers for any partition".to_owned())));
        }
        let present = Checkpoint::from_sources(present);
        sources::check_fronts(&present, &held, self.kafka.embedded)?;
        let is_over = || self.stopping.requested();
        let places = match places(&self.kafka, self.projection.topics, &present, &held, &is_over) {
            Ok(places) => places,
            Err(error) => return Ok(Err(Wait::ForLog(error.to_string()))),
        };
        let starts = sources::starts_at(&present, &held, &places);
        Ok(starts.map(|starts| Found { log, here, starts, left_out }).map_err(Wait::ForEnd))
    }

    /// Whether an error of the reader may mean that the log is no longer what it was.
    pub(super) fn may_have_moved(error: &LogError) -> bool {
        matches!(error, LogError::OffsetOutOfRange { .. } | LogError::NoSuchPartition { .. })
    }
}

fn missing(topic: &str, projected: bool) -> Wait {
    if !projected {
        return Wait::ForLog(format!(
            "topic {topic} does not exist yet; the service that owns it creates it, unless --brokers or --topic-prefix name another log"
        ));
    }
    Wait::ForEnd(StopReason::Log {
        passes: true,
        error: format!(
            "topic {topic} does not exist any more, but was projected: restore it from a backup, or start the service that owns \
             it, which creates it again and sends again what it has kept; or --brokers or --topic-prefix name another log"
        ),
    })
}
