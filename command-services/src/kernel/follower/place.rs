//! Where to go on in each followed partition, compared with what the log holds now.

use std::time::{Duration, Instant};

use event_log::topics::{self, TopicError, Watermarks};
use event_log::{Kafka, Start};
use schemas::doubt::{self, Doubts, Readings};
use schemas::place::{self, Compared, Place};

use super::source::Source;
use crate::kernel::aggregate::Followed;
use crate::kernel::followed::{At, Place as FollowedPlace};

/// How long the logs may take to say what they have: the watch has other things to look at.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

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

/// Looks whether the logs are still those that are followed; each place comes with how far it was followed, and with what the log holds
/// of it, if it is answered for.
pub(in crate::kernel) fn doubt(
    kafka: &Kafka,
    follows: &[Followed],
    places: &[(FollowedPlace, At, Option<Watermarks>)],
    (doubts, readings): (&mut Doubts, &Readings),
) -> Result<Option<String>, TopicError> {
    let followed = |(index, (_, at, held)): (usize, &(FollowedPlace, At, Option<Watermarks>))| {
        let Watermarks { low, high } = (*held)?;
        Some(doubt::Followed { next_offset: at.next_offset, low, high, reading: readings.of(index) })
    };
    let partitions: Vec<_> = places.iter().enumerate().map(followed).collect();
    let start = |(index, offset): &(usize, i64)| {
        let (table, partition) = places[*index].0;
        Start { topic: follows[table].topic.to_owned(), partition, offset: *offset }
    };
    let give_up_at = Instant::now() + ASK_TIMEOUT;
    let is_over = || Instant::now() >= give_up_at;
    let doubt = doubts.look(Instant::now(), &partitions, |looks| {
        let starts: Vec<_> = looks.iter().map(start).collect();
        let id = |record: topics::OwnedRecord| place::id(record.value.as_deref(), || record.headers.clone());
        let records = topics::records_at_until(kafka, &starts, &is_over)?;
        Ok::<_, TopicError>(records.into_iter().map(|record| record.and_then(id)).collect())
    })?;
    Ok(doubt.map(|(index, doubt)| {
        let (table, partition) = places[index].0;
        format!("topic {} partition {partition}: {doubt}", kafka.topic_name(follows[table].topic))
    }))
}

fn compared((source, held): &(&Source, Watermarks)) -> Compared {
    Compared { reached: source.sequence.reached(), low: held.low, high: held.high }
}
