//! The log as it is when a replay starts.

use std::time::{Duration, Instant};

use daybook_kafka::topics::{self, TopicError, TopicWatch, Watermarks};
use daybook_kafka::{Kafka, Polled, Reader, Start};
use daybook_service::Stop;

use daybook_event::envelope;
use daybook_event::place::Place;
use uuid::Uuid;

use super::options::{ReplayError, ReplayOptions};
use crate::checkpoint::Checkpoint;
use crate::projection::{Projection, Topic};
use crate::sources;
use crate::sources::{places, unmoved};
use crate::stop::StopReason;

/// How long one record may take to be read again.
const EVENT_TIMEOUT: Duration = Duration::from_secs(5);

/// What every partition holds; it must hold everything from offset zero on.
pub(super) fn inspect<E>(
    kafka: &Kafka,
    projection: &Projection<E>,
    options: &ReplayOptions,
    cancelled: &Stop,
) -> Result<Vec<Watermarks>, ReplayError> {
    let start = super::zero(projection, options);
    wait_for_a_broker(kafka, options, cancelled)?;
    let expected = options.partitions;
    for topic in projection.topics {
        match topics::partition_count(kafka, topic.name)? {
            Some(actual) if actual == expected => {}
            found => {
                let topic = kafka.topic_name(topic.name);
                let missing = TopicError::Missing { topic: topic.clone() };
                let other = |actual| TopicError::PartitionCount { topic, expected, actual };
                return Err(found.map_or(missing, other).into());
            }
        }
    }
    let log = topics::all_watermarks(kafka, &sources::partitions(&start))?;
    sources::check(&start, &log, kafka.embedded)?;
    // Tells what does not keep this replay from its end, but would keep a later one.
    TopicWatch::open(kafka).map_err(TopicError::from)?.check(&sources::topics_of(&start));
    Ok(log)
}

/// Waits until a broker answers, as long as a start may wait.
/// Errors: [`ReplayError::Cancelled`]; [`TopicError::Log`] if none answers in time.
pub fn wait_for_a_broker(
    kafka: &Kafka,
    options: &ReplayOptions,
    cancelled: &Stop,
) -> Result<(), ReplayError> {
    let is_over = || cancelled.requested();
    match topics::wait_reachable_until(kafka, options.start_timeout, is_over) {
        Ok(_) => Ok(()),
        Err(_) if is_over() => Err(ReplayError::Cancelled { done: 0, total: 0 }),
        Err(error) => Err(TopicError::from(error).into()),
    }
}

/// Whether the log has the events of a build at other offsets than when they were read. What was read is then of no use: a
/// build resumes at offsets.
/// Errors: [`StopReason::LogWentBack`] while the log does not have them at all.
pub(super) fn has_moved(
    kafka: &Kafka,
    topics: &[Topic],
    read: &Checkpoint,
    log: &[Watermarks],
) -> Result<bool, ReplayError> {
    let places = resume_points(kafka, topics, read, log)?;
    Ok(unmoved(read, log, &places).contains(&false))
}

/// End offset of every partition: of the goal if there is one, else of the log as it is. Where the events of the goal have
/// moved nothing is read: who has the goal follows to it by position.
/// Errors: [`StopReason`] if the log does not have the goal.
pub(super) fn ends(
    kafka: &Kafka,
    topics: &[Topic],
    goal: Option<&Checkpoint>,
    log: &[Watermarks],
) -> Result<Vec<i64>, ReplayError> {
    let Some(goal) = goal else { return Ok(log.iter().map(|held| held.high).collect()) };
    let places = resume_points(kafka, topics, goal, log)?;
    let there = goal.sources().zip(unmoved(goal, log, &places)).zip(log);
    Ok(there.map(|(((_, at), unmoved), held)| if unmoved { at.next_offset } else { held.low }).collect())
}

fn resume_points(
    kafka: &Kafka,
    topics: &[Topic],
    checkpoint: &Checkpoint,
    log: &[Watermarks],
) -> Result<Vec<Place>, ReplayError> {
    sources::check_fronts(checkpoint, log, kafka.embedded)?;
    let places = places(kafka, topics, checkpoint, log, &|| false)?;
    sources::went_back(checkpoint, log, &places).map_or(Ok(places), |reason| Err(reason.into()))
}

/// Adds the event's id to the place of an event that could not be folded: of a change only the offset is kept.
pub(super) fn name_event(kafka: &Kafka, error: ReplayError) -> ReplayError {
    let ReplayError::Stopped(StopReason::Fold { mut at, error }) = error else { return error };
    if at.event_id.is_none() {
        let start = Start { topic: at.topic.clone(), partition: at.partition, offset: at.offset };
        at.event_id = event_id(kafka, start);
    }
    StopReason::Fold { at, error }.into()
}

/// `None` if the record cannot be read any more, or soon enough.
fn event_id(kafka: &Kafka, start: Start) -> Option<Uuid> {
    let offset = start.offset;
    let reader = Reader::open(kafka, &[start]).ok()?;
    let deadline = Instant::now() + EVENT_TIMEOUT;
    while Instant::now() < deadline {
        if let Polled::Record(record) = reader.poll(EVENT_TIMEOUT).ok()? {
            let opened = envelope::open(record.value(), || record.headers()).ok()?;
            return (record.offset() == offset).then_some(opened.id);
        }
    }
    None
}
