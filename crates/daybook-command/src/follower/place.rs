//! Where to go on in each followed partition, compared with what the log holds now.

use std::time::{Duration, Instant};

use daybook_event::doubt::{self, Doubts, Reading};
use daybook_event::place::{self, Compared, Place};
use daybook_kafka::topics::{self, TopicError, Watermarks};
use daybook_kafka::{Kafka, Start};

use super::source::Source;
use crate::aggregate::Followed;
use crate::followed::{At, Place as FollowedPlace};

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

/// A followed partition, how far it was followed, and what the log holds of it, if it is answered for.
type Watched = (FollowedPlace, At, Option<Watermarks>);

/// Looks whether the logs are still those that are followed; `readings` say what had been read of each place when the logs were asked for
/// their ends.
pub(crate) fn doubt(
    kafka: &Kafka,
    follows: &[Followed],
    (places, readings): (&[Watched], Vec<Reading>),
    doubts: &mut Doubts,
) -> Result<Option<String>, TopicError> {
    let followed = |((_, at, held), reading): (&Watched, Reading)| {
        let Watermarks { low, high } = (*held)?;
        Some(doubt::Followed { next_offset: at.next_offset, low, high, reading })
    };
    let partitions: Vec<_> = places.iter().zip(readings).map(followed).collect();
    let start = |(index, offset): &(usize, i64)| {
        let (table, partition) = places[*index].0;
        Start { topic: follows[table].topic.to_owned(), partition, offset: *offset }
    };
    let give_up_at = Instant::now() + ASK_TIMEOUT;
    let is_over = || Instant::now() >= give_up_at;
    let doubt = doubts.look(Instant::now(), &partitions, |looks| {
        let starts: Vec<_> = looks.iter().map(start).collect();
        let stamp =
            |record: topics::OwnedRecord| place::stamp(record.value.as_deref(), || record.headers.clone());
        let records = topics::records_at_until(kafka, &starts, &is_over)?;
        Ok::<_, TopicError>(records.into_iter().map(|record| record.and_then(stamp)).collect())
    })?;
    Ok(doubt.map(|(index, doubt)| {
        let (table, partition) = places[index].0;
        format!("topic {} partition {partition}: {doubt}", kafka.topic_name(follows[table].topic))
    }))
}

fn compared((source, held): &(&Source, Watermarks)) -> Compared {
    Compared { reached: source.sequence.reached(), low: held.low, high: held.high }
}
