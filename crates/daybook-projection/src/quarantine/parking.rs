//! What waits of each key and each row, the bounds on it, and what of it is still to be committed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use daybook_stream::key_text;
use uuid::Uuid;

use super::index::ParkedEvent;
use super::record::{ParkedRecord, ViewChange, shortened};
use super::{PARKED_BYTES_MAX, PARKED_EVENTS_MAX, PARKED_EVENTS_PER_KEY_MAX, PARKED_RECORD_BYTES_MAX};
use crate::change::ChangeAt;
use crate::checkpoint::SourceId;
use crate::stop::StopReason;

/// What waits in a whole generation; several threads may count.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    events: AtomicU64,
    bytes: AtomicU64,
}

impl Totals {
    pub(crate) fn of(records: &[ParkedRecord]) -> Self {
        let totals = Self::default();
        records.iter().for_each(|record| totals.add(record.bytes() as u64));
        totals
    }

    fn add(&self, bytes: u64) {
        self.events.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn remove(&self, bytes: u64) {
        self.events.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What waits, and what of it is not yet in the generation.
#[derive(Debug, Default)]
pub(crate) struct Parking {
    /// How many wait under each: by partition and view, 0 for whole records; then by the record's key or the view's row.
    waiting: HashMap<(usize, u8), HashMap<Vec<u8>, u64>>,
    totals: Arc<Totals>,
    fresh: Vec<(usize, ParkedRecord)>,
    fresh_bytes: usize,
    /// Whether the first one that would wait stops the driver instead.
    stops: bool,
}

impl Parking {
    /// One of several, which count together; with `stops`, nothing begins to wait.
    pub(crate) fn counting(totals: &Arc<Totals>, stops: bool) -> Self {
        Self { totals: totals.clone(), stops, ..Self::default() }
    }

    /// Refuses what would begin to wait from now on.
    pub(super) fn stopping(self) -> Self {
        Self { stops: true, ..self }
    }

    pub(super) fn resume(&mut self, index: usize, event: &ParkedEvent) {
        let (view, under) = under(&event.key, &event.row);
        self.note(index, view, under);
        self.totals.add(event.bytes);
    }

    /// Goes on with a record that waits in a build, and is counted in the totals already.
    pub(super) fn resume_record(&mut self, index: usize, record: &ParkedRecord) {
        self.note(index, 0, record.key.as_bytes());
    }

    /// What waited does so no more.
    pub(super) fn leaves(&mut self, index: usize, record: &ParkedRecord) {
        let row = record.row();
        let (view, under) = under(&record.key, &row);
        if let Some(of_view) = self.waiting.get_mut(&(index, view))
            && let Some(events) = of_view.get_mut(under)
        {
            *events -= 1;
            if *events == 0 {
                of_view.remove(under);
            }
            if of_view.is_empty() {
                self.waiting.remove(&(index, view));
            }
        }
        self.totals.remove(record.bytes() as u64);
    }

    /// Whether events wait under this key or row in a partition.
    #[inline]
    pub(crate) fn waits(&self, index: usize, view: u8, under: &[u8]) -> bool {
        !self.waiting.is_empty() && self.count(index, view, under) > 0
    }

    fn count(&self, index: usize, view: u8, under: &[u8]) -> u64 {
        self.waiting.get(&(index, view)).and_then(|of_view| of_view.get(under)).copied().unwrap_or_default()
    }

    fn note(&mut self, index: usize, view: u8, under: &[u8]) {
        *self.waiting.entry((index, view)).or_default().entry(under.to_vec()).or_default() += 1;
    }

    /// Parks a view's change within the bounds; else gives the reason why the projection stops.
    pub(crate) fn park_change(
        &mut self,
        source: &SourceId,
        at: &ChangeAt,
        (view, row): (u8, Uuid),
        change: &[u8],
        event_id: Option<Uuid>,
        reason: Option<StopReason>,
    ) -> Result<(), StopReason> {
        let ChangeAt { offset, position, time_us, .. } = *at;
        let id = ViewChange::id(source, position, time_us);
        let record = ParkedRecord {
            change: Some(ViewChange { view, row, time_us }),
            value: Some(change.to_vec()),
            ..ParkedRecord::at(source, row.to_string(), (position, offset), id)
        };
        self.park(at.source as usize, record, event_id, reason)
    }

    /// Parks a record within the bounds; else gives the reason why the projection stops, which names `event_id`.
    pub(super) fn park(
        &mut self,
        index: usize,
        mut record: ParkedRecord,
        event_id: Option<Uuid>,
        reason: Option<StopReason>,
    ) -> Result<(), StopReason> {
        if let Some(reason) = reason.as_ref().filter(|_| self.stops) {
            return Err(reason.clone());
        }
        let (row, bytes) = (record.row(), record.bytes());
        let (view, under) = under(&record.key, &row);
        if let Some(bound) = self.bound_reached(index, view, under, bytes) {
            let at = record.source.at(record.offset, event_id);
            let full = || StopReason::QuarantineFull { at, key: record.key.clone(), bound: bound.to_owned() };
            return Err(reason.unwrap_or_else(full));
        }
        self.note(index, view, under);
        self.totals.add(bytes as u64);
        self.fresh_bytes += bytes;
        record.reason = reason.map(|reason| shortened(&reason.cause()));
        self.fresh.push((index, record));
        Ok(())
    }

    /// What was parked since the last commit: how many, and their bytes.
    pub(crate) fn uncommitted(&self) -> (usize, usize) {
        (self.fresh.len(), self.fresh_bytes)
    }

    /// Takes back what was parked since there were `before` of them.
    pub(crate) fn back_to(&mut self, before: usize) {
        for (index, record) in self.fresh.split_off(before) {
            self.fresh_bytes -= record.bytes();
            self.leaves(index, &record);
        }
    }

    /// Hands over what was parked since the last time.
    pub(crate) fn take_uncommitted(&mut self) -> Vec<ParkedRecord> {
        self.fresh_bytes = 0;
        std::mem::take(&mut self.fresh).into_iter().map(|(_, record)| record).collect()
    }

    /// Which bound forbids that one more waits.
    fn bound_reached(&self, index: usize, view: u8, under: &[u8], bytes: usize) -> Option<&'static str> {
        let total = |count: &AtomicU64| count.load(Ordering::Relaxed);
        match () {
            // Keys of rows are UUIDs.
            () if view == 0 && key_text(Some(under)).is_none() => Some("its key is no text"),
            () if bytes > PARKED_RECORD_BYTES_MAX => Some("its record is too large to wait"),
            () if self.count(index, view, under) >= PARKED_EVENTS_PER_KEY_MAX => {
                Some("no more events of one key may wait")
            }
            () if total(&self.totals.events) >= PARKED_EVENTS_MAX => Some("no more events may wait"),
            () if total(&self.totals.bytes) + bytes as u64 > PARKED_BYTES_MAX => {
                Some("no more bytes of events may wait")
            }
            () => None,
        }
    }
}

/// Under what an event waits.
fn under<'k>(key: &'k str, row: &'k Option<(u8, Uuid)>) -> (u8, &'k [u8]) {
    row.as_ref().map_or((0, key.as_bytes()), |(view, row)| (*view, row.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &[u8] = Uuid::from_u128(7).as_bytes();

    /// As if a record of so many bytes had been parked.
    fn count(parking: &mut Parking, view: u8, under: &[u8], bytes: u64) {
        parking.note(0, view, under);
        parking.totals.add(bytes);
    }

    #[test]
    fn every_bound_is_named_once_it_is_reached_and_not_before() {
        let largest = PARKED_RECORD_BYTES_MAX;
        for ((view, under), other) in [((0, &b"a"[..]), (0, &b"b"[..])), ((1, ROW), (2, ROW))] {
            let mut parking = Parking::default();
            assert_eq!(parking.bound_reached(0, view, under, largest), None);
            let too_large = parking.bound_reached(0, view, under, largest + 1);
            assert_eq!(too_large, Some("its record is too large to wait"));
            for _ in 0..PARKED_EVENTS_PER_KEY_MAX {
                assert_eq!(parking.bound_reached(0, view, under, 1), None);
                count(&mut parking, view, under, 1);
            }
            assert_eq!(parking.bound_reached(0, view, under, 1), Some("no more events of one key may wait"));
            assert_eq!(parking.bound_reached(1, view, under, 1), None);
            assert_eq!(parking.bound_reached(0, other.0, other.1, 1), None);
        }
    }

    #[test]
    fn all_threads_together_are_bounded_by_number_and_bytes() {
        let (by_number, by_bytes) = (Arc::default(), Arc::default());
        let (mut one, other) = (Parking::counting(&by_number, false), Parking::counting(&by_number, false));
        for number in 0..PARKED_EVENTS_MAX {
            assert_eq!(other.bound_reached(1, 1, ROW, 0), None);
            count(&mut one, 0, &number.to_be_bytes(), 0);
        }
        assert_eq!(other.bound_reached(1, 1, ROW, 0), Some("no more events may wait"));
        let (mut one, other) = (Parking::counting(&by_bytes, false), Parking::counting(&by_bytes, false));
        count(&mut one, 1, ROW, PARKED_BYTES_MAX - 7);
        assert_eq!(other.bound_reached(1, 1, ROW, 7), None);
        assert_eq!(other.bound_reached(1, 1, ROW, 8), Some("no more bytes of events may wait"));
    }

    #[test]
    fn what_is_taken_back_counts_no_more() {
        let source = SourceId { topic: "lamps".into(), partition: 0 };
        let (view_row, mut parking) = ((1, Uuid::from_u128(7)), Parking::default());
        for position in [4, 6] {
            let at = ChangeAt { source: 0, offset: 0, position, time_us: 0 };
            parking.park_change(&source, &at, view_row, b"change", None, None).unwrap();
        }
        parking.back_to(1);
        assert!(parking.waits(0, 1, ROW) && !parking.waits(0, 0, ROW));
        parking.back_to(0);
        assert!(!parking.waits(0, 1, ROW) && parking.waiting.is_empty());
        assert_eq!((parking.uncommitted(), parking.totals.bytes.load(Ordering::Relaxed)), ((0, 0), 0));
    }
}
