//! Events leave the quarantine: all of a key in order, or as far as they can once some are left out.
//!
//! The caller is the generation's only writer. Rows and what no longer waits are one batch: whatever happens, an
//! event waits or is projected, never both. Batches are as small as those of following, for the same reason.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use daybook_event::event_data::EventData;
use daybook_stream::{Discontinuity, ReopenError};
use serde::{Deserialize, Serialize};

use super::index::KeyInPartition;
use super::parking::Parking;
use super::record::{ParkedRecord, ViewChange, shortened};
use super::skipped::{SkippedEvent, Skips};
use crate::cache::Tables;
use crate::change::ChangeAt;
use crate::generation::{BATCH_ROWS_MAX, Generation};
use crate::keys;
use crate::projection::Projection;
use crate::sources::{self, Source};
use crate::stop::{RecordAt, StopReason};
use crate::store::StoreError;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    pub projected: u64,
    pub left_out: u64,
    /// Events of the same keys that still wait, because the first of them cannot be projected.
    pub waiting: u64,
}

/// Why events did not leave the quarantine. Everything is as before, unless the store failed: then some may have left.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReleaseError {
    #[error("no events of key {key} wait in quarantine; `projector --status` lists the keys")]
    NotParked { key: String },
    #[error("key {key} stays parked: {reason}")]
    StillFails { key: String, reason: StopReason },
    #[error(
        "key {key} stays parked: {at} would have to wait behind other changes of row {row}, and {bound}. No release makes room there: leave the first of them out with `projector --skip-event`, or build the rows again with `projector --replay`, where nothing waits that this program can project"
    )]
    NoRoom { key: String, at: Box<RecordAt>, row: String, bound: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReleaseError {
    fn of(key: String, reason: StopReason) -> Self {
        match reason {
            StopReason::QuarantineFull { at, key: row, bound } => Self::NoRoom { key, at, row, bound },
            reason => Self::StillFails { key, reason },
        }
    }
}

/// Projects all waiting events of a key, in every partition in order, or none.
pub fn release<E: EventData>(
    generation: &Generation,
    projection: Projection<E>,
    key: &str,
) -> Result<Released, ReleaseError> {
    let quarantine = generation.quarantine();
    let parked: BTreeSet<_> =
        quarantine.waiting_keys().filter(|(_, parked, _)| parked == key).cloned().collect();
    let sources: BTreeSet<_> = parked.iter().map(|(source, ..)| source).collect();
    if parked.is_empty() {
        return Err(ReleaseError::NotParked { key: key.to_owned() });
    }
    let mut records = Vec::new();
    for source in sources {
        records.extend(generation.parked_of(source, key)?);
    }
    // Nothing is written before it is known that all can be.
    let mut trying = Leaving::new(generation, projection, &[]);
    trying.parking = trying.parking.stopping();
    for record in &records {
        if let Err(reason) = trying.fold(record)? {
            return Err(ReleaseError::of(key.to_owned(), reason));
        }
        trying.no_longer_waits(record);
    }
    let mut leaving = Leaving::new(generation, projection, &[]);
    leaving.take_keys(parked.iter().cloned(), |_| false)?;
    Ok(leaving.finish(parked)?)
}

/// Leaves out these events from now on: those that wait, and those that are still to come. What waits behind one that is
/// left out is projected, up to the next event that cannot be: as if it had never been there.
/// Errors: [`StoreError`]; some may have left.
pub fn leave_out<E: EventData>(
    generation: &Generation,
    projection: Projection<E>,
    skipped: Vec<SkippedEvent>,
) -> Result<Released, StoreError> {
    let quarantine = generation.quarantine();
    let keys: BTreeSet<_> = skipped.iter().flat_map(|event| quarantine.parked_as(event)).collect();
    let mut leaving = Leaving::new(generation, projection, &skipped);
    let is_left_out = |record: &ParkedRecord| skipped.iter().any(|event| event.is_of(record));
    leaving.take_keys(keys.iter().cloned(), is_left_out)?;
    leaving.commit(None)?;
    generation.set_skipped(skipped)?;
    leaving.finish(keys)
}

/// Projects what waits of every key, each up to the first event that still cannot be: what an older program could not project
/// a newer one may. A process that opens a generation to serve it does so, so that none that is served lacks what another one had.
/// Nothing is written where nothing changes.
/// Errors: [`StoreError`]; some may have left.
pub fn release_all<E: EventData>(
    generation: &Generation,
    projection: Projection<E>,
) -> Result<Released, StoreError> {
    let mut leaving = Leaving::new(generation, projection, &[]);
    leaving.take_keys(generation.quarantine().waiting_keys().cloned(), |_| false)?;
    leaving.commit(None)?;
    let keys = generation.quarantine().waiting_keys().cloned().collect();
    leaving.finish(keys)
}

/// Events on their way out, of one key after the other, in batches as small as those of following: a batch may end in the
/// middle of a key, whose other events then wait until the next one.
struct Leaving<'g, E: 'static> {
    generation: &'g Generation,
    sources: Vec<Source>,
    tables: Tables<E>,
    parking: Parking,
    skips: Skips,
    /// What no longer waits with the next batch: what is in the rows, and what is left out.
    gone: Vec<ParkedRecord>,
    /// Bytes of the stored keys of these.
    gone_bytes: usize,
    /// Whether a whole event has come to rows: what contradicted one may do so no more.
    retries: bool,
    released: Released,
}

impl<'g, E: EventData> Leaving<'g, E> {
    fn new(generation: &'g Generation, projection: Projection<E>, skipped: &[SkippedEvent]) -> Self {
        let (mut parking, mut skips) = (Parking::default(), Skips::default());
        let (sources, quarantine) =
            (sources::sources(&projection, &generation.checkpoint()), generation.quarantine());
        for (index, source) in sources.iter().enumerate() {
            for (.., event) in quarantine.parked().filter(|(id, ..)| **id == source.id) {
                parking.resume(index, event);
            }
            let skipped = quarantine.skipped().iter().chain(skipped);
            skipped.filter(|event| event.is_in(&source.id)).for_each(|event| skips.add(index, event));
        }
        let tables = Tables::new(&projection, &sources);
        let (gone, gone_bytes, retries, released) = (Vec::new(), 0, false, Released::default());
        Self { generation, sources, tables, parking, skips, gone, gone_bytes, retries, released }
    }

    /// First whole events, then what waits for one view, each in the order of the log: an event that could not be read may lie before
    /// what waits for a row.
    fn take_keys(
        &mut self,
        keys: impl Iterator<Item = KeyInPartition>,
        is_left_out: impl Fn(&ParkedRecord) -> bool,
    ) -> Result<(), StoreError> {
        let (whole, mut of_views): (Vec<_>, Vec<_>) = keys.partition(|(.., view)| *view == 0);
        for key in whole {
            self.take(self.waiting(&key)?, &is_left_out)?;
        }
        self.commit(None)?;
        if self.retries {
            of_views =
                self.generation.quarantine().waiting_keys().filter(|(.., view)| *view > 0).cloned().collect();
        }
        for key in of_views {
            self.take(self.waiting(&key)?, &is_left_out)?;
        }
        Ok(())
    }

    fn waiting(&self, (source, key, view): &KeyInPartition) -> Result<Vec<ParkedRecord>, StoreError> {
        let mut records = self.generation.parked_of(source, key)?;
        records.retain(|record| record.view() == *view);
        Ok(records)
    }

    /// Takes some of the waiting events of a key out, and projects the others as far as they can be.
    fn take(
        &mut self,
        records: Vec<ParkedRecord>,
        is_left_out: impl Fn(&ParkedRecord) -> bool,
    ) -> Result<(), StoreError> {
        let mut is_stuck = false;
        for record in records {
            if is_left_out(&record) {
                self.released.left_out += 1;
                self.goes(record)?;
            } else if !is_stuck {
                match self.fold(&record)? {
                    Ok(is_whole) => {
                        self.retries |= record.change.is_none();
                        self.released.projected += u64::from(is_whole);
                        self.goes(record)?;
                    }
                    Err(reason) => {
                        self.stays(record, &reason)?;
                        is_stuck = true;
                    }
                }
            }
        }
        Ok(())
    }

    /// Folds one more, or says why it cannot be; then everything is as before. Returns whether none of it waits for a view.
    fn fold(&mut self, record: &ParkedRecord) -> Result<Result<bool, StopReason>, StoreError> {
        match self.project(record) {
            Err(StopReason::Store(error)) => Err(error),
            Err(reason) if self.tables.is_torn() => {
                Err(StoreError::new("project again into", self.generation.path(), reason))
            }
            folded => Ok(folded),
        }
    }

    fn project(&mut self, record: &ParkedRecord) -> Result<bool, StopReason> {
        let ParkedRecord { position, offset, ref value, ref headers, .. } = *record;
        let at = |id| record.source.at(offset, id);
        let event_id = record.has_event_id.then_some(record.id);
        let index = self.index_of(record).ok_or_else(|| StopReason::UnknownTopic { at: at(event_id) })?;
        let change_at = |time_us| ChangeAt { source: index as u32, offset, position, time_us };
        if let Some(ViewChange { view, row, time_us }) = record.change {
            let change = value.as_deref().unwrap_or_default();
            let at = change_at(time_us);
            return self.tables.fold_change(self.generation, (view, row), change, &at).map(|()| true);
        }
        let source = &self.sources[index];
        let reopened = source.state.reopen::<E>(value.as_deref(), || headers.clone(), position);
        let opened = reopened.map_err(|error| match error {
            ReopenError::Unreadable(error) => StopReason::unreadable(at(event_id), error),
            ReopenError::Foreign(why) => StopReason::unowned(at(event_id), why),
            ReopenError::Elsewhere(Discontinuity { id, error }) => {
                StopReason::Sequence { at: at(Some(id)), error }
            }
        })?;
        let change_at = change_at(opened.time.as_microsecond());
        let left_out = self.skips.views(index, &source.id, position, change_at.time_us);
        let event = (&change_at, opened.id);
        self.tables.fold(self.generation, &opened.event, event, &left_out, &mut self.parking)
    }

    fn index_of(&self, record: &ParkedRecord) -> Option<usize> {
        self.sources.iter().position(|source| source.id == record.source)
    }

    fn no_longer_waits(&mut self, record: &ParkedRecord) {
        if let Some(index) = self.index_of(record) {
            self.parking.leaves(index, record);
        }
    }

    fn goes(&mut self, record: ParkedRecord) -> Result<(), StoreError> {
        self.no_longer_waits(&record);
        self.gone_bytes += keys::parked(&record.source, &record.key, record.position, record.view()).len();
        self.gone.push(record);
        let (parked, parked_bytes) = self.parking.uncommitted();
        let (gone, gone_bytes) = (self.gone.len() + parked, self.gone_bytes + parked_bytes);
        match self.tables.fill_batch(BATCH_ROWS_MAX, gone, gone_bytes) {
            true => self.commit(None),
            false => Ok(()),
        }
    }

    /// The first of its key that still waits, and for which reason.
    fn stays(&mut self, mut first: ParkedRecord, reason: &StopReason) -> Result<(), StoreError> {
        let reason = Some(shortened(&reason.cause()));
        let is_new = first.reason != reason;
        first.reason = reason;
        if is_new { self.commit(Some(first)) } else { Ok(()) }
    }

    /// Writes the rows, with what no longer waits, what does so now, and the event that is now the first to wait.
    fn commit(&mut self, first: Option<ParkedRecord>) -> Result<(), StoreError> {
        let parked = self.parking.take_uncommitted();
        if self.gone.is_empty() && parked.is_empty() && first.is_none() {
            return Ok(());
        }
        let mut commit = self.generation.begin();
        self.tables.write(&mut commit)?;
        commit.unpark(&self.gone);
        commit.park(parked)?;
        if let Some(first) = first.clone() {
            commit.park_again(first)?;
        }
        commit.finish([])?;
        self.tables.forget();
        self.gone_bytes = 0;
        self.generation.remove_pieces(self.gone.drain(..).chain(first))
    }

    /// Writes what is left, and counts what of these keys still waits. The caller is about to report that it is done.
    fn finish(mut self, keys: BTreeSet<KeyInPartition>) -> Result<Released, StoreError> {
        self.commit(None)?;
        if self.released.projected + self.released.left_out > 0 {
            self.generation.sync()?;
        }
        let quarantine = self.generation.quarantine();
        let waiting = keys.iter().map(|key| quarantine.waiting_of(key)).sum();
        Ok(Released { waiting, ..self.released })
    }
}

impl SkippedEvent {
    fn is_of(&self, record: &ParkedRecord) -> bool {
        self.is_in(&record.source) && self.position == record.position && self.is(record.id, record.view())
    }
}
