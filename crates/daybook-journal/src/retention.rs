//! Which segments go, and what of them is carried into the present one.
//!
//! Only the oldest segment goes, so that one that is missing otherwise is noticed. What is still needed of it (events that
//! Kafka does not have, and sent ones within their bounds) is written once more before: a partition that stands still, or
//! one that is quiet, must not hold all that came after. Idempotency keys are not carried: a segment stays while it has
//! one that is too young to be forgotten. Where the keys are few and many of them lie in the segment that is written, that
//! one is changed early, since only a closed one goes.

use crate::catalog::{Catalog, Segment};
use crate::errors::{AppendError, ReadError};
use crate::footer::{PartitionEvents, Run};
use crate::journal::Journal;
use crate::reader::Reader;
use crate::record::{Event, Group};

/// Of the most keys that may be, one in so many is room in which the oldest are forgotten early.
const KEYS_ROOM_FRACTION: u64 = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    pub journal_bytes_max: u64,
    /// Bytes of sent events that are kept to heal a log that lost its end, over all partitions.
    pub kept_bytes_max: u64,
    /// Sent events kept per partition at most.
    pub kept_events_max: u64,
    /// Sent events are kept for so long at most.
    pub kept_age_ms_max: u64,
    /// No idempotency key is forgotten before.
    pub key_age_ms_min: u64,
    /// A key is forgotten then.
    pub key_age_ms_max: u64,
    /// How far the clock was set forward lately: ages are reckoned without it.
    pub clock_ahead_ms: u64,
    /// Keys remembered at most; towards it the oldest are forgotten early. A million take 68 to 74 MB of memory.
    pub keys_max: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl Journal {
    /// Removes the oldest segment if nothing needs it, carrying what is still needed of it. Returns whether it did. Cheap
    /// where there is nothing to do, so that it may be asked often.
    /// `acknowledged` is what Kafka has, per partition.
    /// Errors: If what is needed cannot be carried; the segment stays then.
    pub fn retire(
        &mut self,
        retention: &Retention,
        acknowledged: &[u64],
        now_ms: u64,
    ) -> Result<bool, RetireError> {
        let reader = self.reader();
        let aged_ms = now_ms.saturating_sub(retention.clock_ahead_ms);
        if keys_need_a_segment(&reader.shared.read(), retention) {
            // At the bound no key is taken before some are forgotten.
            let is_full = reader.keys() as u64 >= retention.keys_max;
            self.change_segment_early(is_full, now_ms)?;
        }
        // This is asked often: where nothing is to be done, it is found out without reading.
        if !may_go(&reader.shared.read(), self.synced(), retention, acknowledged, aged_ms) {
            return Ok(false);
        }
        let most = self.carried_bytes_max();
        let Some(leave) = Leave::of(&reader, retention, acknowledged, aged_ms, most)? else {
            return Ok(false);
        };
        for events in leave.carried {
            self.carry(events, now_ms)?;
        }
        self.forget_before(leave.segment + 1, now_ms)?;
        Ok(true)
    }
}

/// How the oldest segment is let go.
struct Leave {
    segment: u64,
    /// What is written once more before, cut into records.
    carried: Vec<Vec<Event>>,
}

impl Leave {
    /// None if it is not worth it. A record of what is carried has `most` bytes at most, or a single event.
    fn of(
        reader: &Reader,
        retention: &Retention,
        acknowledged: &[u64],
        now_ms: u64,
        most: usize,
    ) -> Result<Option<Self>, ReadError> {
        let Some((segment, needed_from)) = worth_it(&reader.shared.read(), retention, acknowledged, now_ms)
        else {
            return Ok(None);
        };
        let carried = needed_from.map_or(Ok(Vec::new()), |from| needed(reader, segment, &from, acknowledged));
        Ok(Some(Self { segment, carried: records(carried?, most) }))
    }
}

/// Whether there are so many keys that the oldest are forgotten early.
fn many_keys(catalog: &Catalog, retention: &Retention) -> bool {
    let Retention { keys_max, .. } = *retention;
    // At the bound there are many, however low it is.
    let many = (keys_max - keys_max / KEYS_ROOM_FRACTION).min(keys_max.saturating_sub(1));
    catalog.key_count() as u64 > many
}

/// Whether keys pile up in the segment that is written, where none can be forgotten. Each time that it is so takes new
/// keys, so that segments are not changed in circles while what is before them has to stay.
fn keys_need_a_segment(catalog: &Catalog, retention: &Retention) -> bool {
    let keys = catalog.newest().map_or(0, |newest| newest.key_count as u64);
    keys > retention.keys_max / KEYS_ROOM_FRACTION && many_keys(catalog, retention)
}

/// Whether the oldest segment may go as far as its age and the room say.
fn may_go(
    catalog: &Catalog,
    index_synced: u64,
    retention: &Retention,
    acknowledged: &[u64],
    now_ms: u64,
) -> bool {
    let Some(oldest) = catalog.oldest().filter(|_| catalog.segments.len() > 1) else { return false };
    let age_ms = now_ms.saturating_sub(committed_ms(catalog, now_ms));
    let has_keys = oldest.key_count > 0;
    // Half of the bytes and most of the keys are there to be used; beyond that the oldest go early. One without keys as well:
    // it may stand before those that have them.
    let crowded = catalog.bytes() > retention.journal_bytes_max / 2 || many_keys(catalog, retention);
    let key_age_ms = if crowded { retention.key_age_ms_min } else { retention.key_age_ms_max };
    let keys_may_go = !has_keys || age_ms >= key_age_ms;
    let is_surplus = |(events, acknowledged): (&PartitionEvents, &u64)| {
        let kept_from = acknowledged.saturating_sub(retention.kept_events_max);
        events.runs.iter().all(|run| run.end() <= kept_from)
    };
    let events_may_go = catalog.bytes() > retention.kept_bytes_max
        || age_ms >= retention.kept_age_ms_max
        || oldest.footer.partitions.iter().zip(acknowledged).all(is_surplus);
    oldest.footer.numbers.end <= index_synced + 1 && keys_may_go && (events_may_go || crowded)
}

/// When the oldest segment was written last. One that was written while the clock was ahead is as old as the first behind it
/// that was not: what lies behind it came later.
fn committed_ms(catalog: &Catalog, now_ms: u64) -> u64 {
    let written = catalog.segments.values().filter(|segment| !segment.footer.numbers.is_empty());
    let mut committed_ms = written.map(|segment| segment.footer.last_committed_ms);
    committed_ms.find(|committed_ms| *committed_ms <= now_ms).unwrap_or(now_ms)
}

/// The oldest segment, if carrying what is needed of it brings room, and per partition from where on that is; none if
/// nothing is. Of a segment that is mostly needed, what is carried takes what its removal gives. That is done all the same
/// where the journal is crowded and most of it is not needed: the segments behind it bring the room; and where there are many
/// keys, then without what is only kept. No record is read.
fn worth_it(
    catalog: &Catalog,
    retention: &Retention,
    acknowledged: &[u64],
    now_ms: u64,
) -> Option<(u64, Option<Vec<u64>>)> {
    let oldest = catalog.oldest()?;
    let carried = |from: &[u64]| -> u64 {
        oldest.footer.partitions.iter().zip(from).map(|(events, from)| bytes_from(events, *from)).sum()
    };
    let from = needed_from(catalog, oldest, retention, acknowledged, now_ms);
    let half = retention.journal_bytes_max / 2;
    let is_worth_it = carried(&from) <= oldest.bytes / 2
        || catalog.bytes() > half && unsent_bytes(catalog, acknowledged) <= half;
    let from = match is_worth_it {
        true => from,
        // Keys are not carried, so they bring room for others. What is sent must not keep that out.
        false if many_keys(catalog, retention) => acknowledged.to_vec(),
        false => return None,
    };
    Some((oldest.footer.segment, (carried(&from) > 0).then_some(from)))
}

/// Per partition: the position from which on events of the oldest segment are needed.
fn needed_from(
    catalog: &Catalog,
    oldest: &Segment,
    retention: &Retention,
    acknowledged: &[u64],
    now_ms: u64,
) -> Vec<u64> {
    let share = retention.kept_bytes_max / acknowledged.len().max(1) as u64;
    let too_old = now_ms.saturating_sub(committed_ms(catalog, now_ms)) >= retention.kept_age_ms_max;
    // What is sent must not keep out what is new.
    let crowded = catalog.bytes() > retention.journal_bytes_max / 2;
    let of = |(partition, acknowledged): (usize, &u64)| {
        let own = oldest.footer.partitions.get(partition).map_or(0, |events| events.bytes);
        // A partition that has its share in newer segments keeps nothing of the oldest but what Kafka does not have.
        let has_its_share = catalog.event_bytes(partition) - own >= share;
        if too_old || has_its_share || crowded {
            *acknowledged
        } else {
            acknowledged.saturating_sub(retention.kept_events_max)
        }
    };
    acknowledged.iter().enumerate().map(of).collect()
}

/// Bytes of a partition's events from a position on. Of a run in which it lies, by count.
fn bytes_from(events: &PartitionEvents, from: u64) -> u64 {
    let of_run = |run: &Run| {
        let wanted = run.end().saturating_sub(from.max(run.first));
        (u64::from(run.bytes) * wanted).div_ceil(u64::from(run.count).max(1))
    };
    events.runs.iter().map(of_run).sum()
}

/// Bytes of the events that Kafka does not have, or somewhat more: segments are counted whole.
fn unsent_bytes(catalog: &Catalog, acknowledged: &[u64]) -> u64 {
    let of_segment = |segment: &Segment| -> u64 {
        let footer = &segment.footer;
        let partitions = footer.partitions.iter().zip(&footer.states).zip(acknowledged);
        let unsent = partitions.filter(|((_, state), acknowledged)| state.next > **acknowledged);
        unsent.map(|((events, _), _)| events.bytes).sum()
    };
    catalog.segments.values().map(of_segment).sum()
}

/// The events of the oldest segment that are needed and were not carried already, when that was interrupted.
fn needed(
    reader: &Reader,
    segment: u64,
    needed_from: &[u64],
    acknowledged: &[u64],
) -> Result<Vec<Event>, ReadError> {
    let (bounds, is_all_sent) = {
        let catalog = reader.shared.read();
        let oldest = catalog.oldest();
        let is_sent = |(events, acknowledged): (&PartitionEvents, &u64)| {
            events.runs.iter().all(|run| run.end() <= *acknowledged)
        };
        let is_all_sent =
            oldest.is_some_and(|oldest| oldest.footer.partitions.iter().zip(acknowledged).all(is_sent));
        (oldest.map(|segment| (segment.begin, segment.end)), is_all_sent)
    };
    let Some((begin, end)) = bounds else { return Ok(Vec::new()) };
    let mut events: Vec<Event> = Vec::new();
    for record in reader.walk(segment, begin, end, 0) {
        let record = match record {
            Ok(record) => record,
            // What Kafka has must not keep what is behind it from going.
            Err(error) if is_all_sent => {
                tracing::warn!(segment, %error, "sent events of the journal cannot be read and are no longer kept");
                continue;
            }
            Err(error) => return Err(error),
        };
        let catalog = reader.shared.read();
        let wanted = |event: &Event| {
            let partition = event.partition as usize;
            let place = catalog.events_at(partition, event.position);
            needed_from.get(partition).is_some_and(|from| event.position >= *from)
                && place.is_none_or(|place| place.segment == segment)
        };
        events.extend(record.group.events.into_iter().filter(wanted));
    }
    // What was carried lies behind what is newer, and may lie there twice.
    events.sort_by_key(|event| (event.partition, event.position));
    events.dedup_by_key(|event| (event.partition, event.position));
    Ok(events)
}

/// Cuts events into records of so many bytes at most.
fn records(events: Vec<Event>, most: usize) -> Vec<Vec<Event>> {
    let mut records: Vec<Vec<Event>> = Vec::new();
    let (empty, mut bytes) = (Group::default().bytes(), most);
    for event in events {
        bytes += event.bytes();
        if bytes > most {
            bytes = empty + event.bytes();
            records.push(Vec::new());
        }
        if let Some(last) = records.last_mut() {
            last.push(event);
        }
    }
    records
}

#[cfg(test)]
mod tests;
