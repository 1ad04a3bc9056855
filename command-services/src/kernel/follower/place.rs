//! Where to go on in each followed partition, compared with what the log holds now.

use std::time::Instant;

use event_log::topics::{self, TopicError, Watermarks};
use event_log::{Kafka, Start};
use schemas::doubt::{self, Doubts};
use schemas::place::{self, Compared, Place};
use uuid::Uuid;

use super::source::Source;
use crate::kernel::aggregate::Followed;
use crate::kernel::followed::{At, Place as FollowedPlace};

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
        events_at(kafka, &looks.iter().map(start).collect::<Vec<_>>())
    })
}

/// Looks whether the logs are still those that are followed; each place comes with how far it was, and with what the log holds of it,
/// if it is answered for.
pub(in crate::kernel) fn doubt(
    kafka: &Kafka,
    follows: &[Followed],
    places: &[(FollowedPlace, At, Option<Watermarks>)],
    doubts: &mut Doubts,
) -> Result<Option<String>, TopicError> {
    let followed = |(_, at, held): &(FollowedPlace, At, Option<Watermarks>)| {
        let Watermarks { low, high } = (*held)?;
        let compared = Compared { reached: at.reached, low, high };
        Some(doubt::Followed { compared, next_offset: at.next_offset })
    };
    let partitions: Vec<_> = places.iter().map(followed).collect();
    let start = |(index, offset): &(usize, i64)| {
        let (table, partition) = places[*index].0;
        Start { topic: follows[table].topic.to_owned(), partition, offset: *offset }
    };
    let doubt = doubts.look(Instant::now(), &partitions, |looks| {
        events_at(kafka, &looks.iter().map(start).collect::<Vec<_>>())
    })?;
    Ok(doubt.map(|(index, doubt)| {
        let (table, partition) = places[index].0;
        format!("topic {} partition {partition}: {doubt}", kafka.topic_name(follows[table].topic))
    }))
}

/// Position and id of the record at each start; none where there is no event.
fn events_at(kafka: &Kafka, starts: &[Start]) -> Result<Vec<Option<(u64, Uuid)>>, TopicError> {
    let records = topics::records_at(kafka, starts)?;
    let event =
        |record: topics::OwnedRecord| place::event(record.value.as_deref(), || record.headers.clone());
    Ok(records.into_iter().map(|record| record.and_then(event)).collect())
}

fn compared((source, held): &(&Source, Watermarks)) -> Compared {
    Compared { reached: source.sequence.reached(), low: held.low, high: held.high }
}
