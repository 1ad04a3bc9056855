//! Where to go on in each followed partition, compared with what the log holds now.

use std::time::{Duration, Instant};

use event_log::topics::{self, TopicError, Watermarks};
use event_log::{Kafka, Start};
use schemas::doubt::{self, Doubts, Ends};
use schemas::place::{self, Compared, Place};
use uuid::Uuid;

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
        events_at(kafka, &looks.iter().map(start).collect::<Vec<_>>(), &|| false)
    })
}

/// Looks whether the logs are still those that are followed; each place comes with how far it was, and with what the log holds of it,
/// if it is answered for.
pub(in crate::kernel) fn doubt(
    kafka: &Kafka,
    follows: &[Followed],
    places: &[(FollowedPlace, At, Option<Watermarks>)],
    (doubts, ends): (&mut Doubts, &Ends),
) -> Result<Option<String>, TopicError> {
    let followed = |((_, at, held), ended): (&(FollowedPlace, At, Option<Watermarks>), Option<u64>)| {
        let Watermarks { low, high } = (*held)?;
        let compared = Compared { reached: at.reached, low, high };
        Some(doubt::Followed { compared, next_offset: at.next_offset, ended })
    };
    let mut ended = ends.all();
    ended.resize(places.len(), None);
    let partitions: Vec<_> = places.iter().zip(ended).map(followed).collect();
    let give_up_at = Instant::now() + ASK_TIMEOUT;
    let is_over = || Instant::now() >= give_up_at;
    let start = |(index, offset): &(usize, i64)| {
        let (table, partition) = places[*index].0;
        Start { topic: follows[table].topic.to_owned(), partition, offset: *offset }
    };
    let doubt = doubts.look(Instant::now(), &partitions, |looks| {
        events_at(kafka, &looks.iter().map(start).collect::<Vec<_>>(), &is_over)
    })?;
    Ok(doubt.map(|(index, doubt)| {
        let (table, partition) = places[index].0;
        format!("topic {} partition {partition}: {doubt}", kafka.topic_name(follows[table].topic))
    }))
}

/// Position and id of the record at each start; none where there is no event.
fn events_at(
    kafka: &Kafka,
    starts: &[Start],
    is_over: &dyn Fn() -> bool,
) -> Result<Vec<Option<(u64, Uuid)>>, TopicError> {
    let records = topics::records_at_until(kafka, starts, is_over)?;
    let event =
        |record: topics::OwnedRecord| place::event(record.value.as_deref(), || record.headers.clone());
    Ok(records.into_iter().map(|record| record.and_then(event)).collect())
}

fn compared((source, held): &(&Source, Watermarks)) -> Compared {
    Compared { reached: source.sequence.reached(), low: held.low, high: held.high }
}
