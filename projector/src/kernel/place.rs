//! Where to go on in each partition, compared with what the log holds now.

use event_log::topics::{self, TopicError, Watermarks};
use event_log::{Kafka, Start};
use schemas::envelope;
use schemas::place::{Place, Reached, Search, Step};

use super::checkpoint::{Checkpoint, SourceCheckpoint, SourceId};

/// Finds the place of every partition, in the order of [`Checkpoint::sources`].
///
/// # Errors
/// [`TopicError`] if the records cannot be looked at.
pub(super) fn places(
    kafka: &Kafka,
    checkpoint: &Checkpoint,
    log: &[Watermarks],
) -> Result<Vec<Place>, TopicError> {
    let mut searches: Vec<_> = checkpoint.sources().zip(log).map(search).collect();
    loop {
        let looks: Vec<_> = searches.iter().enumerate().filter_map(look).collect();
        if looks.is_empty() {
            return Ok(searches.iter().filter_map(found).collect());
        }
        let sources: Vec<_> = checkpoint.sources().map(|(source, _)| source).collect();
        let start = |(index, offset): &(usize, i64)| Start {
            topic: sources[*index].topic.to_string(),
            partition: sources[*index].partition,
            offset: *offset,
        };
        let records = topics::records_at(kafka, &looks.iter().map(start).collect::<Vec<_>>())?;
        for ((index, _), record) in looks.iter().zip(records) {
            let event = record.and_then(|record| {
                let opened = envelope::open(record.value.as_deref(), || record.headers.clone()).ok()?;
                Some((opened.position, opened.id))
            });
            searches[*index].saw(event);
        }
    }
}

fn search(((_, at), held): ((&SourceId, &SourceCheckpoint), &Watermarks)) -> Search {
    Search::begin(Reached {
        next_offset: at.next_offset,
        next_position: at.next_position,
        last_id: at.last_id,
        low: held.low,
        high: held.high,
    })
}

fn look((index, search): (usize, &Search)) -> Option<(usize, i64)> {
    match search.step() {
        Step::Look(offset) => Some((index, offset)),
        Step::Found(_) => None,
    }
}

fn found(search: &Search) -> Option<Place> {
    match search.step() {
        Step::Found(place) => Some(place),
        Step::Look(_) => None,
    }
}
