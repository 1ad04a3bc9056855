//! Where to go on in each followed partition, compared with what the log holds now.

use event_log::topics::{self, TopicError, Watermarks};
use event_log::{Kafka, Start};
use schemas::place::{self, Compared, Place};

use super::source::Source;
use crate::kernel::aggregate::Followed;

/// Finds the place of every source, in their order; each comes with what the log holds of it.
pub(super) fn places(
    kafka: &Kafka,
    follows: &[Followed],
    sources: &[(&Source, Watermarks)],
) -> Result<Vec<Place>, TopicError> {
    let start = |(index, offset): &(usize, i64)| Start {
        topic: follows[sources[*index].0.table].topic.to_owned(),
        partition: sources[*index].0.partition,
        offset: *offset,
    };
    place::places(sources.iter().map(compared), |looks| {
        let records = topics::records_at(kafka, &looks.iter().map(start).collect::<Vec<_>>())?;
        let event =
            |record: topics::OwnedRecord| place::event(record.value.as_deref(), || record.headers.clone());
        Ok(records.into_iter().map(|record| record.and_then(event)).collect())
    })
}

fn compared((source, held): &(&Source, Watermarks)) -> Compared {
    Compared { reached: source.sequence.reached(), low: held.low, high: held.high }
}
