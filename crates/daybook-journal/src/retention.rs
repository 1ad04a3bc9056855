//! Which segments go, and what of them is carried into the present one.
//!
//! Only the oldest segment goes, so that one that is missing otherwise is noticed. What is still needed of it (events that
//! Kafka does not have, and sent ones within their bounds) is written once more before: a partition that stands still, or
//! one that is quiet, must not hold all that came after. Idempotency keys are not carried: a segment stays while it has
//! one that is too young to be forgotten. Where the keys are few and many of them lie in the segment that is written, that
//! one is changed early, since only a closed one goes.

use crate::catalog::{Catalog, Segment};
use crate::frame::RECORD_BYTES_MAX;
use crate::journal::{AppendError, Journal, ReadError, Reader};
use crate::record::{Event, Group};

/// Of the most keys that may be, one in so many is room in which the oldest are forgotten early.
const KEYS_ROOM_FRACTION: u64 = 8;

/// Bounds on what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Bytes of all segments.
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
    /// Keys remembered at most; towards it the oldest are forgotten early. A million take 52 MB of memory.
    pub keys_max: u64,
}

/// Why a segment was not removed although it could be.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// What is needed of it cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What is needed of it could not be written once more.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl Journal {
    /// Removes the oldest segment if nothing needs it, carrying what is still needed of it. Returns whether it did. Cheap
    /// where there is nothing to do, so that it may be asked after each append.
    /// `acknowledged` is what Kafka has, per partition.
    ///
    /// # Errors
    /// If what is needed cannot be carried; the segment stays then.
    pub fn retire(
        &mut self,
        retention: &Retention,
        acknowledged: &[u64],
        now_ms: u64,
    ) -> Result<bool, RetireError> {
        let reader = self.reader();
        if keys_need_a_segment(&reader.catalog(), retention) {
            self.change_segment_early(now_ms)?;
        }
        // This is asked after each append: where nothing is to be done, it is found out by a few comparisons.
        if !may_go(&reader.catalog(), self.synced(), retention, acknowledged, now_ms) {
            return Ok(false);
        }
        let Some(oldest) = Oldest::of(&reader.catalog()) else { return Ok(false) };
        let needed_from = needed_from(&oldest, retention, acknowledged, now_ms);
        let needed = needed(&reader, &oldest, &needed_from)?;
        if !is_worth_it(&reader, &oldest, retention, acknowledged, &needed) {
            return Ok(false);
        }
        for events in needed {
            self.carry(events, now_ms)?;
        }
        self.forget_before(oldest.segment + 1, now_ms)?;
        Ok(true)
    }
}

/// Whether there are so many keys that the oldest are forgotten early.
fn many_keys(catalog: &Catalog, retention: &Retention) -> bool {
    let Retention { keys_max, .. } = *retention;
    catalog.key_count() as u64 > keys_max - keys_max / KEYS_ROOM_FRACTION
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
    let age_ms = now_ms.saturating_sub(oldest.footer.last_committed_ms);
    let has_keys = oldest.key_count > 0;
    // Half of the bytes and most of the keys are there to be used; beyond that the oldest go early.
    let crowded =
        catalog.bytes() > retention.journal_bytes_max / 2 || has_keys && many_keys(catalog, retention);
    let key_age_ms = if crowded { retention.key_age_ms_min } else { retention.key_age_ms_max };
    let keys_may_go = !has_keys || age_ms >= key_age_ms;
    let surplus = |(end, acknowledged): (Option<u64>, &u64)| {
        end.is_none_or(|end| end <= acknowledged.saturating_sub(retention.kept_events_max))
    };
    let events_may_go = catalog.bytes() > retention.kept_bytes_max
        || age_ms >= retention.kept_age_ms_max
        || oldest.ends().into_iter().zip(acknowledged).all(surplus);
    oldest.footer.numbers.end <= index_synced + 1 && keys_may_go && (events_may_go || crowded)
}

/// The oldest segment.
struct Oldest {
    segment: u64,
    last_committed_ms: u64,
    /// Its own bytes.
    bytes: u64,
    /// Bytes of all segments.
    journal_bytes: u64,
    /// Per partition: bytes of its events in newer segments.
    newer_bytes: Vec<u64>,
    /// Per partition: the position behind its last event, if it has any.
    ends: Vec<Option<u64>>,
}

impl Oldest {
    fn of(catalog: &Catalog) -> Option<Self> {
        let oldest = catalog.oldest()?;
        let partitions = oldest.footer.partitions.iter().enumerate();
        Some(Self {
            segment: oldest.footer.segment,
            last_committed_ms: oldest.footer.last_committed_ms,
            bytes: oldest.bytes,
            journal_bytes: catalog.bytes(),
            newer_bytes: partitions
                .map(|(partition, events)| catalog.event_bytes(partition) - events.bytes)
                .collect(),
            ends: oldest.ends(),
        })
    }
}

/// Per partition: the position from which on events of the oldest segment are needed.
fn needed_from(oldest: &Oldest, retention: &Retention, acknowledged: &[u64], now_ms: u64) -> Vec<u64> {
    let share = retention.kept_bytes_max / acknowledged.len().max(1) as u64;
    let too_old = now_ms.saturating_sub(oldest.last_committed_ms) >= retention.kept_age_ms_max;
    let of = |(partition, acknowledged): (usize, &u64)| {
        // A partition that has its share in newer segments keeps nothing of the oldest but what Kafka does not have.
        let has_its_share = oldest.newer_bytes.get(partition).is_some_and(|bytes| *bytes >= share);
        if too_old || has_its_share {
            *acknowledged
        } else {
            acknowledged.saturating_sub(retention.kept_events_max)
        }
    };
    acknowledged.iter().enumerate().map(of).collect()
}

/// Whether carrying brings room. Of a segment that is mostly needed, what is carried takes what its removal gives. That
/// is done all the same where the journal is crowded and most of it is not needed: the segments behind it bring the room.
fn is_worth_it(
    reader: &Reader,
    oldest: &Oldest,
    retention: &Retention,
    acknowledged: &[u64],
    needed: &[Vec<Event>],
) -> bool {
    let carried: u64 = needed.iter().flatten().map(|event| event.bytes() as u64).sum();
    let half = retention.journal_bytes_max / 2;
    let crowded = oldest.journal_bytes > half;
    carried <= oldest.bytes / 2 || crowded && unsent_bytes(reader, acknowledged) <= half
}

/// Bytes of the events that Kafka does not have, or somewhat more: segments are counted whole.
fn unsent_bytes(reader: &Reader, acknowledged: &[u64]) -> u64 {
    let catalog = reader.catalog();
    let of_segment = |segment: &Segment| -> u64 {
        let footer = &segment.footer;
        let partitions = footer.partitions.iter().zip(&footer.states).zip(acknowledged);
        let unsent = partitions.filter(|((_, state), acknowledged)| state.next > **acknowledged);
        unsent.map(|((events, _), _)| events.bytes).sum()
    };
    catalog.segments.values().map(of_segment).sum()
}

/// The events of the oldest segment that are needed, cut into records.
fn needed(reader: &Reader, oldest: &Oldest, needed_from: &[u64]) -> Result<Vec<Vec<Event>>, ReadError> {
    let bounds = {
        let catalog = reader.catalog();
        catalog.oldest().map(|segment| (segment.begin, segment.end))
    };
    let Some((begin, end)) = bounds else { return Ok(Vec::new()) };
    let wanted =
        |event: &Event| needed_from.get(event.partition as usize).is_some_and(|from| event.position >= *from);
    let mut events: Vec<Event> = Vec::new();
    for record in reader.walk(oldest.segment, begin, end, 0) {
        events.extend(record?.group.events.into_iter().filter(wanted));
    }
    // What was carried lies behind what is newer, and may lie there twice.
    events.sort_by_key(|event| (event.partition, event.position));
    events.dedup_by_key(|event| (event.partition, event.position));
    let mut records: Vec<Vec<Event>> = Vec::new();
    let is_needed = |(end, from): (&Option<u64>, &u64)| end.is_some_and(|end| end > *from);
    if !oldest.ends.iter().zip(needed_from).any(is_needed) {
        return Ok(records);
    }
    let mut bytes = RECORD_BYTES_MAX;
    let empty = Group::default().bytes();
    for event in events {
        bytes += event.bytes();
        if bytes > RECORD_BYTES_MAX {
            bytes = empty + event.bytes();
            records.push(Vec::new());
        }
        if let Some(last) = records.last_mut() {
            last.push(event);
        }
    }
    Ok(records)
}
