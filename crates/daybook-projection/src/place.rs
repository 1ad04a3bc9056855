//! Where to go on in each partition, compared with what the log holds now.

use std::time::{Duration, Instant};

use daybook_event::doubt::{Doubts, Followed, Reading};
use daybook_event::place::{self, Compared, Place};
use daybook_kafka::topics::{self, Held, TopicError, Watermarks};
use daybook_kafka::{Kafka, Start};

use super::checkpoint::{Checkpoint, SourceCheckpoint, SourceId};

/// How long the log may take to say what it has of one partition.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);

/// Finds the place of every partition, in the order of [`Checkpoint::sources`]. `log` is what the log holds of each.
///
/// # Errors
/// [`TopicError`] if the records cannot be looked at.
pub(super) fn places(
    kafka: &Kafka,
    checkpoint: &Checkpoint,
    log: &[Watermarks],
) -> Result<Vec<Place>, TopicError> {
    places_until(kafka, checkpoint, log, &|| false)
}

/// The same, given up once `is_over` says so.
///
/// # Errors
/// As [`places`], and [`daybook_kafka::LogError::GivenUp`].
pub(super) fn places_until(
    kafka: &Kafka,
    checkpoint: &Checkpoint,
    log: &[Watermarks],
    is_over: &dyn Fn() -> bool,
) -> Result<Vec<Place>, TopicError> {
    let sources: Vec<_> = checkpoint.sources().map(|(source, _)| source).collect();
    place::places(checkpoint.sources().zip(log).map(compared), |looks| {
        let starts: Vec<_> = looks.iter().map(|(index, offset)| start(sources[*index], *offset)).collect();
        let records = topics::records_at_until(kafka, &starts, is_over)?;
        let event =
            |record: topics::OwnedRecord| place::event(record.value.as_deref(), || record.headers.clone());
        Ok(records.into_iter().map(|record| record.and_then(event)).collect())
    })
}

/// Looks whether the log is still the one that was read. `log` is what it holds of each partition of the checkpoint, or why nobody says;
/// `readings` what had been read of each when that was asked for.
///
/// # Errors
/// [`TopicError`] if the records cannot be looked at.
pub(super) fn doubt(
    kafka: &Kafka,
    checkpoint: &Checkpoint,
    (log, readings): (&[Held], Vec<Reading>),
    doubts: &mut Doubts,
    is_over: &dyn Fn() -> bool,
) -> Result<Option<String>, TopicError> {
    let sources: Vec<_> = checkpoint.sources().collect();
    let followed = |(((_, at), held), reading): ((&(&SourceId, &SourceCheckpoint), &Held), Reading)| {
        let Watermarks { low, high } = *held.as_ref().ok()?;
        Some(Followed { next_offset: at.next_offset, low, high, reading })
    };
    let partitions: Vec<_> = sources.iter().zip(log).zip(readings).map(followed).collect();
    let start = |(index, offset): &(usize, i64)| start(sources[*index].0, *offset);
    let give_up_at = Instant::now() + ASK_TIMEOUT;
    let is_over = || is_over() || Instant::now() >= give_up_at;
    let doubt = doubts.look(Instant::now(), &partitions, |looks| {
        let starts: Vec<_> = looks.iter().map(start).collect();
        let stamp =
            |record: topics::OwnedRecord| place::stamp(record.value.as_deref(), || record.headers.clone());
        let records = topics::records_at_until(kafka, &starts, &is_over)?;
        Ok::<_, TopicError>(records.into_iter().map(|record| record.and_then(stamp)).collect())
    })?;
    Ok(doubt.map(|(index, doubt)| format!("{}: {doubt}", sources[index].0)))
}

/// Whether the log still has everything that `checkpoint` says of one partition, where it was: whoever has read it up to there would read
/// the same again. Blocks for [`ASK_TIMEOUT`] at most, and a few seconds more while a broker does not answer.
///
/// # Errors
/// [`TopicError`] if the log cannot be asked.
pub fn is_where_it_was(
    kafka: &Kafka,
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
    let places = places_until(kafka, &one, &log, &is_over)?;
    Ok(unmoved(&one, &log, &places) == [true])
}

/// Of every partition, whether the log still has everything where `checkpoint` says.
pub(super) fn unmoved(checkpoint: &Checkpoint, log: &[Watermarks], places: &[Place]) -> Vec<bool> {
    let all = checkpoint.sources().zip(log).zip(places);
    all.map(|(((_, at), held), place)| at.next_offset <= held.high && *place == Place::At(at.resume_offset))
        .collect()
}

fn start(source: &SourceId, offset: i64) -> Start {
    Start { topic: source.topic.to_string(), partition: source.partition, offset }
}

fn compared(((_, at), held): ((&SourceId, &SourceCheckpoint), &Watermarks)) -> Compared {
    Compared { reached: at.reached(), low: held.low, high: held.high }
}
