//! Which records wait: those that cannot be projected, and those of a key that waits already.
//!
//! One rule for following and for a replay. It holds what was parked since the last commit until the driver takes it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use schemas::claim;
use schemas::envelope;
use schemas::event_data::EventError;
use schemas::sequence::Verdict;
use uuid::Uuid;

use super::record::{self, Headers, ParkedRecord};
use super::unplaced::Unplaced;
use super::{
    Course, PARKED_BYTES_MAX, PARKED_EVENTS_MAX, PARKED_EVENTS_PER_KEY_MAX, PARKED_KEY_BYTES_MAX,
    PARKED_RECORD_BYTES_MAX, Quarantine, REASON_CHARS_MAX, SkippedEvent, UNPLACED_RECORDS_MAX,
};
use crate::kernel::engine::Incoming;
use crate::kernel::source::{Source, Stamp};
use crate::kernel::stop::StopReason;

/// What waits in a whole generation; several threads may count.
#[derive(Debug, Default)]
pub(in crate::kernel) struct Totals {
    events: AtomicU64,
    bytes: AtomicU64,
}

/// Decides for every record whether it waits.
#[derive(Debug, Default)]
pub(in crate::kernel) struct Intake {
    /// Events that wait, by partition and key.
    parked: HashMap<usize, HashMap<Vec<u8>, u64>>,
    totals: Arc<Totals>,
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
    pub(in crate::kernel) fn counting(totals: &Arc<Totals>, stops: bool) -> Self {
        Self { totals: totals.clone(), stops, ..Self::default() }
    }

    /// Goes on with what waits of a partition in a generation.
    pub(in crate::kernel) fn resume(&mut self, quarantine: &Quarantine, index: usize, source: &Source) {
        for (_, _, event) in quarantine.parked().filter(|(id, ..)| **id == source.id) {
            self.count(index, event.key.as_bytes(), event.bytes);
            if !event.has_event_id {
                self.made_ids.insert((index, event.id));
            }
        }
        self.leave_out(quarantine.skipped(), index, source);
    }

    /// Goes on with a record that waits in a build.
    pub(in crate::kernel) fn resume_record(&mut self, index: usize, record: &ParkedRecord) {
        self.count(index, record.key.as_bytes(), record.bytes() as u64);
        if !record.has_event_id {
            self.made_ids.insert((index, record.id));
        }
    }

    /// Leaves those of these events out that are of one partition, when they come.
    pub(in crate::kernel) fn leave_out(&mut self, skipped: &[SkippedEvent], index: usize, source: &Source) {
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
    pub(in crate::kernel) fn expect_unfoldable(&mut self, index: usize, position: u64, reason: StopReason) {
        self.unfoldable.insert((index, position), reason);
    }

    /// What is left when everything since the last commit is read again.
    pub(in crate::kernel) fn forget(&mut self) -> Self {
        Self { unfoldable: std::mem::take(&mut self.unfoldable), ..Self::default() }
    }

    /// What becomes of the event of a position that comes next.
    #[inline]
    pub(in crate::kernel) fn course<'k>(
        &self,
        source: usize,
        position: u64,
        id: Uuid,
        key: impl FnOnce() -> Option<&'k [u8]>,
    ) -> Course {
        match self.parked.is_empty() && self.unfoldable.is_empty() && self.skipped.is_empty() {
            true => Course::Project,
            false => self.look_up(source, position, id, key()),
        }
    }

    fn look_up(&self, source: usize, position: u64, id: Uuid, key: Option<&[u8]>) -> Course {
        if self.skipped.get(&(source, position)) == Some(&id) {
            return Course::LeaveOut;
        }
        let waits = self.waiting(source, key.unwrap_or_default()) > 0;
        match waits || self.unfoldable.contains_key(&(source, position)) {
            true => Course::Park,
            false => Course::Project,
        }
    }

    /// Parks an event that was opened and checked.
    pub(in crate::kernel) fn park(
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

    /// Takes a record that is no event for this program: a writer's claim, or one that cannot be opened.
    pub(in crate::kernel) fn set_aside(
        &mut self,
        source: &mut Source,
        record: Incoming<'_>,
        headers: Headers,
        error: EventError,
    ) -> Result<Verdict, StopReason> {
        let error = match claim::open(record.value) {
            Some(Ok(claim)) => {
                let verdict = source.check_claim(&claim, record.offset)?;
                source.passed(verdict, claim.epoch, claim.id, record.offset);
                return Ok(verdict);
            }
            Some(Err(unreadable)) => unreadable.into(),
            None => error,
        };
        let envelope = match &error {
            EventError::Data(_) => envelope::open(record.value, || headers.clone()).ok(),
            EventError::Envelope(_) => None,
        };
        let Some(opened) = envelope else {
            let reason = StopReason::unreadable(source.at(record.offset, None), error);
            return self.set_aside_unplaced(source, record, headers, reason);
        };
        let (id, position, epoch) = (opened.id, opened.position, opened.writer_epoch);
        let stamp = Stamp { from: &opened.source, epoch, position, id };
        let verdict = self.judge(source, &stamp, record.source, record.offset)?;
        let course = self.look_up(record.source, position, id, record.key);
        if verdict == Verdict::Apply && course != Course::LeaveOut {
            let reason = StopReason::unreadable(source.at(record.offset, Some(id)), error);
            let placed = Placed { record, headers: headers.clone(), position, id, has_event_id: true };
            self.take(source, placed, Some(reason))?;
        }
        source.passed(verdict, epoch, id, record.offset);
        Ok(verdict)
    }

    /// The check of the next record: first those before it take their places that have none of their own.
    #[inline]
    pub(in crate::kernel) fn judge(
        &mut self,
        source: &mut Source,
        stamp: &Stamp<'_>,
        index: usize,
        offset: i64,
    ) -> Result<Verdict, StopReason> {
        if !source.unplaced.is_empty() && source.counts(stamp) {
            self.place(source, index, stamp.position)?;
        }
        source.check(stamp, offset)
    }

    /// Notes an event that could not be folded, if it can wait: it does when it is read again.
    pub(in crate::kernel) fn note_unfoldable(
        &mut self,
        record: Incoming<'_>,
        position: u64,
        reason: &StopReason,
    ) {
        if reason.is_about_one_key() && text_of(record.key).is_some() {
            self.unfoldable.insert((record.source, position), reason.clone());
            self.read_again = true;
        }
    }

    /// Whether everything since the last commit is to be read again, because of an event that could not be folded.
    pub(in crate::kernel) fn reads_again(&self) -> bool {
        self.read_again
    }

    /// Records that were parked since the last commit.
    pub(in crate::kernel) fn uncommitted(&self) -> (usize, usize) {
        (self.fresh.len(), self.fresh_bytes)
    }

    /// All events that could not be folded have been parked, and that is committed.
    pub(in crate::kernel) fn committed(&mut self) {
        self.unfoldable.clear();
    }

    /// Hands over what was parked since the last time.
    pub(in crate::kernel) fn take_uncommitted(&mut self) -> Vec<ParkedRecord> {
        self.fresh_bytes = 0;
        std::mem::take(&mut self.fresh)
    }

    fn set_aside_unplaced(
        &mut self,
        source: &mut Source,
        record: Incoming<'_>,
        headers: Headers,
        reason: StopReason,
    ) -> Result<Verdict, StopReason> {
        let Some(key) = text_of(record.key) else { return Err(reason) };
        let unplaced = Unplaced::new(record, key, headers, reason);
        let waits = source.unplaced.iter().any(|known| known.id == unplaced.id);
        if waits || self.made_ids.contains(&(record.source, unplaced.id)) {
            source.passed(Verdict::Duplicate, source.epoch(), unplaced.id, record.offset);
            return Ok(Verdict::Duplicate);
        }
        if source.unplaced.len() == UNPLACED_RECORDS_MAX || unplaced.bytes() > PARKED_RECORD_BYTES_MAX {
            return Err(unplaced.reason);
        }
        source.unplaced.push(unplaced);
        Ok(Verdict::Apply)
    }

    /// The record that has `position` comes behind all that have none: they have those before it, or none at all.
    fn place(&mut self, source: &mut Source, index: usize, position: u64) -> Result<(), StopReason> {
        let next = source.next_position();
        let behind = next + source.unplaced.len() as u64;
        if position < next || position > behind {
            // Repeated, or behind a gap: the check tells.
            return Ok(());
        }
        while let Some(unplaced) = source.unplaced.first() {
            let (reason, headers) = (unplaced.reason.clone(), unplaced.headers.clone());
            if position < behind {
                return Err(reason);
            }
            let (record, id, offset) = (unplaced.as_incoming(index), unplaced.id, unplaced.offset);
            let position = source.next_position();
            if self.look_up(index, position, id, record.key) != Course::LeaveOut {
                let placed = Placed { record, headers, position, id, has_event_id: false };
                self.take(source, placed, Some(reason))?;
            }
            self.made_ids.insert((index, id));
            source.unplaced.remove(0);
            source.passed(Verdict::Apply, source.epoch(), id, offset);
        }
        Ok(())
    }

    /// Parks a record within the bounds, else gives the reason why the projection stops.
    fn take(
        &mut self,
        source: &Source,
        placed: Placed<'_>,
        reason: Option<StopReason>,
    ) -> Result<(), StopReason> {
        let Placed { record, headers, position, id, has_event_id } = placed;
        let bytes = record::bytes(record.key.unwrap_or_default(), record.value, &headers);
        let refused = self.bound_reached(record.source, record.key.unwrap_or_default(), bytes);
        if let Some(reason) = reason.as_ref().filter(|_| self.stops) {
            return Err(reason.clone());
        }
        let (Some(key), None) = (text_of(record.key), refused) else {
            let full = || StopReason::QuarantineFull {
                at: source.at(record.offset, has_event_id.then_some(id)),
                key: String::from_utf8_lossy(record.key.unwrap_or_default()).into_owned(),
                bound: refused.unwrap_or("its key is no text").to_owned(),
            };
            return Err(reason.unwrap_or_else(full));
        };
        self.count(record.source, key.as_bytes(), bytes as u64);
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

    fn bound_reached(&self, source: usize, key: &[u8], bytes: usize) -> Option<&'static str> {
        let total = |count: &AtomicU64| count.load(Ordering::Relaxed);
        match () {
            () if bytes > PARKED_RECORD_BYTES_MAX => Some("its record is too large to wait"),
            () if self.waiting(source, key) >= PARKED_EVENTS_PER_KEY_MAX => {
                Some("no more events of one key may wait")
            }
            () if total(&self.totals.events) >= PARKED_EVENTS_MAX => Some("no more events may wait"),
            () if total(&self.totals.bytes) + bytes as u64 > PARKED_BYTES_MAX => {
                Some("no more bytes of events may wait")
            }
            () => None,
        }
    }

    fn waiting(&self, source: usize, key: &[u8]) -> u64 {
        self.parked.get(&source).and_then(|keys| keys.get(key)).copied().unwrap_or_default()
    }

    fn count(&mut self, source: usize, key: &[u8], bytes: u64) {
        *self.parked.entry(source).or_default().entry(key.to_vec()).or_default() += 1;
        self.totals.events.fetch_add(1, Ordering::Relaxed);
        self.totals.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A key that can be shown, named on a command line, and be a part of a stored key.
fn text_of(key: Option<&[u8]>) -> Option<&str> {
    let text = std::str::from_utf8(key?).ok()?;
    let fits = !text.is_empty() && text.len() <= PARKED_KEY_BYTES_MAX;
    (fits && !text.chars().any(char::is_control)).then_some(text)
}

fn shortened(reason: &str) -> String {
    reason.chars().take(REASON_CHARS_MAX).collect()
}
