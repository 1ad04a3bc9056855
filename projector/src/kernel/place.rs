//! Where to go on in each partition, compared with what the log holds now.

use event_log::topics::{self, TopicError, Watermarks};
use event_log::{Kafka, Start};
use schemas::place::{self, Compared, Place};

use super::checkpoint::{Checkpoint, SourceCheckpoint, SourceId};

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
/// As [`places`], and [`event_log::LogError::GivenUp`].
pub(super) fn places_until(
    kafka: &Kafka,
    checkpoint: &Checkpoint,
    log: &[Watermarks],
    is_over: &dyn Fn() -> bool,
) -> Result<Vec<Place>, TopicError> {
    let sources: Vec<_> = checkpoint.sources().map(|(source, _)| source).collect();
    let start = |(index, offset): &(usize, i64)| {
        let SourceId { topic, partition } = sources[*index];
        Start { topic: topic.to_string(), partition: *partition, offset: *offset }
    };
    place::places(checkpoint.sources().zip(log).map(compared), |looks| {
        let starts: Vec<_> = looks.iter().map(start).collect();
        let records = topics::records_at_until(kafka, &starts, is_over)?;
        let event =
            |record: topics::OwnedRecord| place::event(record.value.as_deref(), || record.headers.clone());
        Ok(records.into_iter().map(|record| record.and_then(event)).collect())
    })
}

/// Of every partition, whether the log still has everything where `checkpoint` says.
pub(super) fn unmoved(checkpoint: &Checkpoint, log: &[Watermarks], places: &[Place]) -> Vec<bool> {
    let all = checkpoint.sources().zip(log).zip(places);
    all.map(|(((_, at), held), place)| at.next_offset <= held.high && *place == Place::At(at.resume_offset))
        .collect()
}

fn compared(((_, at), held): ((&SourceId, &SourceCheckpoint), &Watermarks)) -> Compared {
    Compared { reached: at.reached(), low: held.low, high: held.high }
}
