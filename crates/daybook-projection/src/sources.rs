//! The partitions of a projection compared with the log: where to begin, and whether the log still fits.

use daybook_event::place::Place;
use daybook_event::sequence::SequenceError;
use daybook_kafka::Start;
use daybook_kafka::topics::{TopicError, Watermarks};
use uuid::Uuid;

use super::checkpoint::{Checkpoint, SourceCheckpoint, SourceId};
use super::stop::{RecordAt, StopReason};

/// Where a reader begins, one start per partition in the order of [`Checkpoint::sources`].
#[must_use]
pub fn starts(checkpoint: &Checkpoint) -> Vec<Start> {
    let start = |(source, at): (&SourceId, &SourceCheckpoint)| Start {
        topic: source.topic.to_string(),
        partition: source.partition,
        offset: at.resume_offset,
    };
    checkpoint.sources().map(start).collect()
}

/// Whether the topics are those that were projected; `count` says how many partitions one has.
///
/// # Errors
/// Those of `count`.
pub fn check_topics(
    checkpoint: &Checkpoint,
    count: impl Fn(&str) -> Result<Option<i32>, TopicError>,
) -> Result<Result<(), Misfit>, TopicError> {
    for (topic, expected) in topics_of(checkpoint) {
        match count(&topic)? {
            None => return Ok(Err(Misfit::Missing { topic })),
            Some(found) if found != expected => {
                return Ok(Err(Misfit::Partitions(StopReason::PartitionsChanged { topic, found, expected })));
            }
            Some(_) => {}
        }
    }
    Ok(Ok(()))
}

/// Topic and number of every partition, in the order of [`Checkpoint::sources`].
#[must_use]
pub fn partitions(checkpoint: &Checkpoint) -> Vec<(String, i32)> {
    checkpoint.sources().map(|(source, _)| (source.topic.to_string(), source.partition)).collect()
}

/// How the topics do not fit the checkpoint.
#[derive(Debug, Clone)]
pub enum Misfit {
    Missing {
        /// Topic without prefix.
        topic: String,
    },
    Partitions(StopReason),
}

/// Topics with the number of their partitions.
pub(super) fn topics_of(checkpoint: &Checkpoint) -> Vec<(String, i32)> {
    let mut topics: Vec<String> = checkpoint.sources().map(|(source, _)| source.topic.to_string()).collect();
    topics.dedup();
    topics.into_iter().map(|topic| (topic.clone(), checkpoint.partitions(&topic))).collect()
}

/// Checks that all partitions of a topic are of one log: each may have been read by itself.
///
/// # Errors
/// [`StopReason::Sequence`] for the first partition that is of another one than those before it.
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
///
/// # Errors
/// [`StopReason::FrontDeleted`] or [`StopReason::LogWentBack`] for the first partition that does not.
pub fn check(checkpoint: &Checkpoint, log: &[Watermarks], embedded: bool) -> Result<(), StopReason> {
    check_fronts(checkpoint, log, embedded)?;
    let short = checkpoint.sources().zip(log).find(|((_, at), held)| at.next_offset > held.high);
    short.map_or(Ok(()), |((source, at), held)| {
        Err(StopReason::LogWentBack { at: next(source, at), high: held.high })
    })
}

/// Checks that no partition has lost the front of what must be read next.
///
/// # Errors
/// [`StopReason::FrontDeleted`] for the first partition that has.
pub fn check_fronts(checkpoint: &Checkpoint, log: &[Watermarks], embedded: bool) -> Result<(), StopReason> {
    for ((source, at), held) in checkpoint.sources().zip(log) {
        if at.resume_offset < held.low {
            return Err(StopReason::FrontDeleted { at: next(source, at), low: held.low, embedded });
        }
    }
    Ok(())
}

/// The first partition that ends before what was projected, if there is one.
#[must_use]
pub fn went_back(checkpoint: &Checkpoint, log: &[Watermarks], places: &[Place]) -> Option<StopReason> {
    let lost = checkpoint.sources().zip(log).zip(places).find(|(_, place)| **place == Place::Lost);
    lost.map(|(((source, at), held), _)| StopReason::LogWentBack { at: next(source, at), high: held.high })
}

/// Where a reader begins in a log that has moved, maybe: one start per partition.
///
/// # Errors
/// [`StopReason::LogWentBack`] for the first partition that ends before what was projected.
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
