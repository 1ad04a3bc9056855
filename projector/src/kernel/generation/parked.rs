//! Events that wait, in a generation: written with the checkpoint that counts them.

use std::path::Path;
use std::sync::Arc;

use super::Commit;
use crate::kernel::keys;
use crate::kernel::quarantine::{ParkedKey, ParkedRecord, Quarantine};
use crate::kernel::rows::Rows;
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

impl Commit<'_> {
    /// Writes records that wait from now on.
    pub(in crate::kernel) fn park(&mut self, records: Vec<ParkedRecord>) {
        for record in records {
            let key = keys::parked(&record.source, &record.key, record.position);
            self.batch.put(&key, &record.encode());
            Arc::make_mut(&mut self.quarantine).add(&record);
        }
    }

    /// Shows records of which it is not known yet whether they will wait; they are kept nowhere.
    pub(in crate::kernel) fn show_unplaced(&mut self, unplaced: Vec<ParkedKey>) {
        if !unplaced.is_empty() || self.quarantine.has_unplaced() {
            Arc::make_mut(&mut self.quarantine).set_unplaced(unplaced);
        }
    }
}
