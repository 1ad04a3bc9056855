//! Where to go on in each partition, compared with what the log holds now.

use std::time::{Duration, Instant};

use daybook_event::doubt::{Followed, Reading};
use daybook_event::place::Place;
use daybook_kafka::Kafka;
use daybook_kafka::topics::{self, Held, TopicError, Watermarks};
use daybook_stream::{Located, Watched, locate};

use super::checkpoint::{Checkpoint, SourceCheckpoint, SourceId};
use super::projection::Topic;

/// How long the log may take to say what it has of one partition.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);

/// Finds the place of every partition, in the order of [`Checkpoint::sources`]. `log` is what the log holds of each. Given up once
/// `is_over` says so.
///
/// # Errors
/// [`TopicError`] if the records cannot be looked at; [`daybook_kafka::LogError::GivenUp`].
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

/// Whether the log still has everything that `checkpoint` says of one partition, where it was: whoever has read it up to there would read
/// the same again. Blocks for [`ASK_TIMEOUT`] at most, and a few seconds more while a broker does not answer.
///
/// # Errors
/// [`TopicError`] if the log cannot be asked.
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
