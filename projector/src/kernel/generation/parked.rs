//! Events that wait, in a generation: written with the checkpoint that counts them.

use std::path::Path;
use std::sync::Arc;

use super::{Commit, Generation, Moment};
use crate::kernel::checkpoint::SourceId;
use crate::kernel::keys;
use crate::kernel::quarantine::{ParkedKey, ParkedRecord, Quarantine, SkippedEvent};
use crate::kernel::rows::{Bytes, Rows};
use crate::kernel::store::{GenerationError, StoreError};

/// All that waits, as it is stored.
pub(super) fn read(path: &Path, rows: &Rows) -> Result<Quarantine, GenerationError> {
    let mut quarantine = Quarantine::default();
    for entry in rows.range(keys::PARKED.to_vec()..keys::SOURCES.to_vec()) {
        let (_, value) = entry?;
        let record = ParkedRecord::decode(&value);
        quarantine.add(&record.map_err(|error| StoreError::new("read", path, error))?);
    }
    Ok(quarantine)
}

impl Generation {
    /// The waiting records of one key in one partition, in order.
    pub(in crate::kernel) fn parked_of(
        &self,
        source: &SourceId,
        key: &str,
    ) -> Result<Vec<ParkedRecord>, StoreError> {
        let from = keys::parked_prefix(source, key);
        // The prefix ends with a byte 0, behind which the positions stand.
        let to = [&from[..from.len() - 1], &[1]].concat();
        let record = |entry: Result<(Bytes, Bytes), StoreError>| {
            ParkedRecord::decode(&entry?.1).map_err(|error| self.damaged(error))
        };
        self.rows.range(from..to).map(record).collect()
    }

    /// Writes a record that waits into a generation that is being built and that nobody reads.
    pub(in crate::kernel) fn put_parked(&self, record: &ParkedRecord) -> Result<(), StoreError> {
        let key = keys::parked(&record.source, &record.key, record.position);
        self.rows.put(&key, &record.encode())?;
        self.show_quarantine(|quarantine| quarantine.add(record))
    }

    /// From now on these events are left out when they come.
    ///
    /// # Errors
    /// [`StoreError`] if the store took a part of a batch only.
    pub(in crate::kernel) fn set_skipped(&self, skipped: Vec<SkippedEvent>) -> Result<(), StoreError> {
        self.show_quarantine(|quarantine| quarantine.set_skipped(skipped))
    }

    fn show_quarantine(&self, change: impl FnOnce(&mut Quarantine)) -> Result<(), StoreError> {
        let mut moment = Moment::clone(&self.last_moment());
        change(Arc::make_mut(&mut moment.quarantine));
        self.moments.change(|| Ok(moment)).map(drop)
    }
}

impl Commit<'_> {
    /// Writes records that wait from now on.
    pub(in crate::kernel) fn park(&mut self, records: Vec<ParkedRecord>) {
        for record in records {
            let key = keys::parked(&record.source, &record.key, record.position);
            self.batch.put(&key, &record.encode());
            Arc::make_mut(&mut self.quarantine).add(&record);
        }
    }

    /// Takes out records that no longer wait.
    pub(in crate::kernel) fn unpark(&mut self, records: &[ParkedRecord]) {
        for record in records {
            self.batch.remove(&keys::parked(&record.source, &record.key, record.position));
        }
        Arc::make_mut(&mut self.quarantine).remove(records);
    }

    /// Writes a record that goes on waiting, with the reason that it has now.
    pub(in crate::kernel) fn park_again(&mut self, record: ParkedRecord) {
        Arc::make_mut(&mut self.quarantine).remove(std::slice::from_ref(&record));
        self.park(vec![record]);
    }

    /// Shows records of which it is not known yet whether they will wait; they are kept nowhere.
    pub(in crate::kernel) fn show_unplaced(&mut self, unplaced: Vec<ParkedKey>) {
        if !unplaced.is_empty() || self.quarantine.has_unplaced() {
            Arc::make_mut(&mut self.quarantine).set_unplaced(unplaced);
        }
    }
}
