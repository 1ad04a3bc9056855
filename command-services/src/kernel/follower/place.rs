//! Where to go on in each followed partition, compared with what the log holds now.

use event_log::topics::{self, TopicError, Watermarks};
use event_log::{Kafka, Start};
use schemas::envelope;
use schemas::place::{Place, Reached, Search, Step};

use super::source::Source;
use crate::kernel::aggregate::Followed;

/// Finds the place of every source, in their order. `log` is what the log holds of each.
pub(super) fn places(
    kafka: &Kafka,
    follows: &[Followed],
    sources: &[Source],
    log: &[Watermarks],
) -> Result<Vec<Place>, TopicError> {
    let mut searches: Vec<_> = sources.iter().zip(log).map(search).collect();
    loop {
        let looks: Vec<_> = searches.iter().enumerate().filter_map(look).collect();
        if looks.is_empty() {
            return Ok(searches.iter().filter_map(found).collect());
        }
        let start = |(index, offset): &(usize, i64)| Start {
            topic: follows[sources[*index].table].topic.to_owned(),
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

fn search((source, held): (&Source, &Watermarks)) -> Search {
    Search::begin(Reached {
        next_offset: source.next_offset,
        next_position: source.sequence.next_position(),
        last_id: source.sequence.last_id(),
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
