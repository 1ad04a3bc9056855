//! Which records wait: those that cannot be projected, and those of a key that waits already.
//!
//! One rule for following and for a replay. It holds what was parked since the last commit until the driver takes it.

mod aside;
mod places;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::record::{self, Headers, ParkedRecord, key_text, shortened};
use super::waiting::{Totals, Waiting};
use super::{Course, Quarantine, SkippedEvent};
use crate::engine::Incoming;
use crate::source::Source;
use crate::stop::StopReason;

/// Decides for every record whether it waits.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    waiting: Waiting,
    /// Ids that were made from the bytes of records without one, by partition: such a record may be repeated.
    made_ids: HashSet<(usize, Uuid)>,
    /// Events that could not be folded, by partition and position: they are parked when they are met again.
    unfoldable: HashMap<(usize, u64), StopReason>,
    /// Events that are left out, by partition and position, with their ids.
    skipped: HashMap<(usize, u64), Uuid>,
    /// Parked since the last commit.
    fresh: Vec<ParkedRecord>,
    fresh_bytes: usize,
    read_again: bool,
    /// Whether the first record that would wait stops the driver instead.
    stops: bool,
}

/// A record, and the place that it takes.
struct Placed<'r> {
    record: Incoming<'r>,
    headers: Headers,
    position: u64,
    id: Uuid,
    has_event_id: bool,
}

impl Intake {
    /// One of several, whose records count together; with `stops`, none waits.
    pub(crate) fn counting(totals: &Arc<Totals>, stops: bool) -> Self {
        Self { waiting: Waiting::counting(totals), stops, ..Self::default() }
    }

    /// Goes on with what waits of a partition in a generation.
    pub(crate) fn resume(&mut self, quarantine: &Quarantine, index: usize, source: &Source) {
        for (_, _, event) in quarantine.parked().filter(|(id, ..)| **id == source.id) {
            self.waiting.count(index, event.key.as_bytes(), event.bytes);
            if !event.has_event_id {
                self.made_ids.insert((index, event.id));
            }
        }
        self.leave_out(quarantine.skipped(), index, source);
    }

    /// Goes on with a record that waits in a build.
    pub(crate) fn resume_record(&mut self, index: usize, record: &ParkedRecord) {
        self.waiting.count(index, record.key.as_bytes(), record.bytes() as u64);
        if !record.has_event_id {
            self.made_ids.insert((index, record.id));
        }
    }

    /// Leaves those of these events out that are of one partition, when they come.
    pub(crate) fn leave_out(&mut self, skipped: &[SkippedEvent], index: usize, source: &Source) {
        let is_of = |event: &&SkippedEvent| {
            (event.topic.as_str(), event.partition) == (&*source.id.topic, source.id.partition)
        };
        for event in skipped.iter().filter(is_of) {
            self.skipped.insert((index, event.position), event.id);
            // Passed before, so that it can only be a repetition.
            if event.event_id.is_none() && event.position < source.next_position() {
                self.made_ids.insert((index, event.id));
            }
        }
    }

    /// Parks the event of a position when it comes: it cannot be folded.
    pub(crate) fn expect_unfoldable(&mut self, index: usize, position: u64, reason: StopReason) {
        self.unfoldable.insert((index, position), reason);
    }

    /// What is left when everything since the last commit is read again.
    pub(crate) fn forget(&mut self) -> Self {
        Self { unfoldable: std::mem::take(&mut self.unfoldable), ..Self::default() }
    }

    /// What becomes of the event of a position that comes next.
    #[inline]
    pub(crate) fn course<'k>(
        &self,
        source: usize,
        position: u64,
        id: Uuid,
        key: impl FnOnce() -> Option<&'k [u8]>,
    ) -> Course {
        match self.waiting.is_empty() && self.unfoldable.is_empty() && self.skipped.is_empty() {
            true => Course::Project,
            false => self.look_up(source, position, id, key()),
        }
    }

    fn look_up(&self, source: usize, position: u64, id: Uuid, key: Option<&[u8]>) -> Course {
        if self.skipped.get(&(source, position)) == Some(&id) {
            return Course::LeaveOut;
        }
        let waits = self.waiting.of_key(source, key.unwrap_or_default()) > 0;
        match waits || self.unfoldable.contains_key(&(source, position)) {
            true => Course::Park,
            false => Course::Project,
        }
    }

    /// Parks an event that was opened and checked.
    pub(crate) fn park(
        &mut self,
        source: &Source,
        record: Incoming<'_>,
        headers: Headers,
        position: u64,
        id: Uuid,
    ) -> Result<(), StopReason> {
        let reason = self.unfoldable.get(&(record.source, position)).cloned();
        self.take(source, Placed { record, headers, position, id, has_event_id: true }, reason)
    }

    /// Notes an event that could not be folded, if it can wait: it does when it is read again.
    pub(crate) fn note_unfoldable(&mut self, record: Incoming<'_>, position: u64, reason: &StopReason) {
        if reason.is_about_one_key() && key_text(record.key).is_some() {
            self.unfoldable.insert((record.source, position), reason.clone());
            self.read_again = true;
        }
    }

    /// Whether everything since the last commit is to be read again, because of an event that could not be folded.
    pub(crate) fn reads_again(&self) -> bool {
        self.read_again
    }

    /// Records that were parked since the last commit.
    pub(crate) fn uncommitted(&self) -> (usize, usize) {
        (self.fresh.len(), self.fresh_bytes)
    }

    /// All events that could not be folded have been parked, and that is committed.
    pub(crate) fn committed(&mut self) {
        self.unfoldable.clear();
    }

    /// Hands over what was parked since the last time.
    pub(crate) fn take_uncommitted(&mut self) -> Vec<ParkedRecord> {
        self.fresh_bytes = 0;
        std::mem::take(&mut self.fresh)
    }

    /// Parks a record within the bounds; else gives the reason why the projection stops.
    fn take(
        &mut self,
        source: &Source,
        placed: Placed<'_>,
        reason: Option<StopReason>,
    ) -> Result<(), StopReason> {
        let Placed { record, headers, position, id, has_event_id } = placed;
        if let Some(reason) = reason.as_ref().filter(|_| self.stops) {
            return Err(reason.clone());
        }
        let bytes = record::bytes(record.key.unwrap_or_default(), record.value, &headers);
        let refused = self.waiting.bound_reached(record.source, record.key.unwrap_or_default(), bytes);
        let (Some(key), None) = (key_text(record.key), refused) else {
            let full = || StopReason::QuarantineFull {
                at: source.at(record.offset, has_event_id.then_some(id)),
                key: String::from_utf8_lossy(record.key.unwrap_or_default()).into_owned(),
                bound: refused.unwrap_or("its key is no text").to_owned(),
            };
            return Err(reason.unwrap_or_else(full));
        };
        self.waiting.count(record.source, key.as_bytes(), bytes as u64);
        self.fresh_bytes += bytes;
        self.fresh.push(ParkedRecord {
            source: source.id.clone(),
            key: key.to_owned(),
            position,
            offset: record.offset,
            id,
            has_event_id,
            value: record.value.map(<[u8]>::to_vec),
            headers,
            reason: reason.map(|reason| shortened(&reason.cause())),
        });
        Ok(())
    }
}
