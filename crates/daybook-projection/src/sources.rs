//! The partitions of a projection compared with the log: where to begin, and whether the log still fits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_event::doubt::{Followed, Reading};
use daybook_event::place::Place;
use daybook_event::sequence::SequenceError;
use daybook_kafka::topics::{self, Held, TopicError, Watermarks};
use daybook_kafka::{Kafka, Start};
use daybook_stream::{Discontinuity, Located, PartitionState, Unowned, Watched, locate, share_log_ids};
use jiff::Timestamp;
use uuid::Uuid;

use crate::checkpoint::{Checkpoint, SourceCheckpoint, SourceId};
use crate::projection::{Projection, Topic};
use crate::stop::{RecordAt, StopReason};

/// Where a reader begins, one start per partition in the order of [`Checkpoint::sources`].
pub fn starts(checkpoint: &Checkpoint) -> Vec<Start> {
    let start = |(source, at): (&SourceId, &SourceCheckpoint)| Start {
        topic: source.topic.to_string(),
        partition: source.partition,
        offset: at.resume_offset,
    };
    checkpoint.sources().map(start).collect()
}

/// Whether the topics are those that were projected; `count` says how many partitions one has.
/// Errors: Those of `count`.
pub fn check_topics(
    checkpoint: &Checkpoint,
    count: impl Fn(&str) -> Result<Option<i32>, TopicError>,
) -> Result<Result<(), TopicMismatch>, TopicError> {
    for (topic, expected) in topics_of(checkpoint) {
        match count(&topic)? {
            None => return Ok(Err(TopicMismatch::Missing { topic })),
            Some(found) if found != expected => {
                return Ok(Err(TopicMismatch::Partitions(StopReason::PartitionsChanged {
                    topic,
                    found,
                    expected,
                })));
            }
            Some(_) => {}
        }
    }
    Ok(Ok(()))
}

/// Topic and number of every partition, in the order of [`Checkpoint::sources`].
pub fn partitions(checkpoint: &Checkpoint) -> Vec<(String, i32)> {
    checkpoint.sources().map(|(source, _)| (source.topic.to_string(), source.partition)).collect()
}

/// How the topics do not fit the checkpoint.
#[derive(Debug, Clone)]
pub enum TopicMismatch {
    Missing {
        /// Topic without prefix.
        topic: String,
    },
    Partitions(StopReason),
}

pub(super) fn topics_of(checkpoint: &Checkpoint) -> Vec<(String, i32)> {
    let mut topics: Vec<String> = checkpoint.sources().map(|(source, _)| source.topic.to_string()).collect();
    topics.dedup();
    topics.into_iter().map(|topic| (topic.clone(), checkpoint.partitions(&topic))).collect()
}

/// Checks that all partitions of a topic are of one log: each may have been read by itself.
/// Errors: [`StopReason::Sequence`] for the first partition that is of another one than those before it.
pub(super) fn check_log_ids(checkpoint: &Checkpoint) -> Result<(), StopReason> {
    let mut known: Option<(&SourceId, Uuid)> = None;
    for (source, at) in checkpoint.sources() {
        let Some(found) = at.log_id else { continue };
        match known.filter(|(before, _)| before.topic == source.topic) {
            Some((_, expected)) if expected != found => {
                let at = SourceCheckpoint::default();
                let error = SequenceError::OtherLog { position: 0, expected, found };
                return Err(StopReason::Sequence { at: next(source, &at), error });
            }
            _ => known = Some((source, found)),
        }
    }
    Ok(())
}

/// Checks that every partition still holds what must be read next.
/// Errors: [`StopReason::FrontDeleted`] or [`StopReason::LogWentBack`] for the first partition that does not.
pub fn check(checkpoint: &Checkpoint, log: &[Watermarks], embedded: bool) -> Result<(), StopReason> {
    check_fronts(checkpoint, log, embedded)?;
    let short = checkpoint.sources().zip(log).find(|((_, at), held)| at.next_offset > held.high);
    short.map_or(Ok(()), |((source, at), held)| {
        Err(StopReason::LogWentBack { at: next(source, at), high: held.high })
    })
}

/// Checks that no partition has lost the front of what must be read next.
/// Errors: [`StopReason::FrontDeleted`] for the first partition that has.
pub fn check_fronts(checkpoint: &Checkpoint, log: &[Watermarks], embedded: bool) -> Result<(), StopReason> {
    for ((source, at), held) in checkpoint.sources().zip(log) {
        if at.resume_offset < held.low {
            return Err(StopReason::FrontDeleted { at: next(source, at), low: held.low, embedded });
        }
    }
    Ok(())
}

/// The first partition that ends before what was projected, if there is one.
pub fn went_back(checkpoint: &Checkpoint, log: &[Watermarks], places: &[Place]) -> Option<StopReason> {
    let lost = checkpoint.sources().zip(log).zip(places).find(|(_, place)| **place == Place::Lost);
    lost.map(|(((source, at), held), _)| StopReason::LogWentBack { at: next(source, at), high: held.high })
}

/// Where a reader begins in a log that has moved, maybe: one start per partition.
/// Errors: [`StopReason::LogWentBack`] for the first partition that ends before what was projected.
pub fn starts_at(
    checkpoint: &Checkpoint,
    log: &[Watermarks],
    places: &[Place],
) -> Result<Vec<Start>, StopReason> {
    if let Some(reason) = went_back(checkpoint, log, places) {
        return Err(reason);
    }
    let offsets = places.iter().filter_map(|place| match place {
        Place::At(offset) => Some(*offset),
        Place::Lost => None,
    });
    let starts = starts(checkpoint).into_iter().zip(offsets);
    Ok(starts.map(|(start, offset)| Start { offset, ..start }).collect())
}

fn next(source: &SourceId, at: &SourceCheckpoint) -> Box<RecordAt> {
    Box::new(RecordAt {
        topic: source.topic.to_string(),
        partition: source.partition,
        offset: at.next_offset,
        event_id: None,
    })
}

/// What has been done since an engine was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub applied: u64,
    pub duplicates: u64,
    /// Records of fenced writers.
    pub fenced: u64,
    /// Time of the event applied last, as its envelope says.
    pub last_event_at: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) id: SourceId,
    pub(super) state: PartitionState,
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
    pub(super) fn stop(&self, offset: i64, refusal: Discontinuity) -> StopReason {
        let Discontinuity { id, error } = refusal;
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

/// How long the log may take to say what it has of one partition.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);

/// Finds the place of every partition, in the order of [`Checkpoint::sources`]. `log` is what the log holds of each. Given up once
/// `is_over` says so.
/// Errors: [`TopicError`] if the records cannot be read; [`daybook_kafka::LogError::GivenUp`].
pub(super) fn places(
    kafka: &Kafka,
    topics: &[Topic],
    checkpoint: &Checkpoint,
    log: &[Watermarks],
    is_over: &dyn Fn() -> bool,
) -> Result<Vec<Place>, TopicError> {
    let service =
        |name: &str| topics.iter().find(|topic| topic.name == name).map_or("", |topic| topic.service);
    let located = checkpoint.sources().zip(log).map(|((source, at), held)| Located {
        topic: &source.topic,
        partition: source.partition,
        service: service(&source.topic),
        reached: at.reached(),
        held: *held,
    });
    locate(kafka, &located.collect::<Vec<_>>(), is_over)
}

/// What is watched of a checkpoint's partitions, to tell whether the log is still the one that was read. `log` is what it holds of each, or
/// why nobody says; `readings` what had been read of each when that was asked for.
pub(super) fn watched<'c>(
    checkpoint: &'c Checkpoint,
    log: &[Held],
    readings: Vec<Reading>,
) -> Vec<Watched<'c>> {
    let followed = |at: &SourceCheckpoint, held: &Held, reading| {
        let Watermarks { low, high } = *held.as_ref().ok()?;
        Some(Followed { next_offset: at.next_offset, low, high, reading })
    };
    let watched = checkpoint.sources().zip(log).zip(readings).map(|(((source, at), held), reading)| {
        Watched { topic: &source.topic, partition: source.partition, followed: followed(at, held, reading) }
    });
    watched.collect()
}

/// Whether the log still has everything that `checkpoint` says of one partition, where it was: a reader that has read it up to there would read
/// the same again. Blocks for [`ASK_TIMEOUT`] at most, and a few seconds more while a broker does not answer.
/// Errors: [`TopicError`] if the log cannot be asked.
pub fn is_where_it_was(
    kafka: &Kafka,
    projected: &[Topic],
    checkpoint: &Checkpoint,
    topic: &str,
    partition: i32,
) -> Result<bool, TopicError> {
    let Some(at) = checkpoint.get(topic, partition) else { return Ok(false) };
    let give_up_at = Instant::now() + ASK_TIMEOUT;
    let is_over = || Instant::now() >= give_up_at;
    let held = topics::held_until(kafka, &[(topic, partition)], ASK_TIMEOUT, &is_over)?;
    let log: Vec<_> = held.into_iter().collect::<Result<_, _>>()?;
    let one = Checkpoint::from_sources([(SourceId { topic: topic.into(), partition }, *at)]);
    let places = places(kafka, projected, &one, &log, &is_over)?;
    Ok(unmoved(&one, &log, &places) == [true])
}

/// Of every partition, whether the log still has everything where `checkpoint` says.
pub(super) fn unmoved(checkpoint: &Checkpoint, log: &[Watermarks], places: &[Place]) -> Vec<bool> {
    let all = checkpoint.sources().zip(log).zip(places);
    all.map(|(((_, at), held), place)| at.next_offset <= held.high && *place == Place::At(at.resume_offset))
        .collect()
}
