//! Events that wait, in a generation: written with the checkpoint that counts them.

mod pieces;

use std::path::Path;
use std::sync::Arc;

use super::{Commit, Generation, Moment};
use crate::checkpoint::SourceId;
use crate::keys;
use crate::quarantine::{ParkedRecord, Quarantine};
use crate::store::{GenerationError, StoreError};
use daybook_store::{BATCH_BYTES_MAX, Batch, Database};
use pieces::{JoinError, Joining, cut};

/// All that waits, as it is stored. Removes what a process that was killed has left of records that do not wait.
pub(super) fn read(path: &Path, rows: &Database) -> Result<Quarantine, GenerationError> {
    let mut quarantine = Quarantine::default();
    let mut joining = Joining::of(rows.range(keys::PARKED.to_vec()..keys::SOURCES.to_vec()));
    while let Some(record) = joining.next().map_err(unreadable(path))? {
        quarantine.add(&record);
    }
    // They take room and nothing else: a disk that is full does not keep a generation from being opened.
    if let Err(error) = remove(rows, joining.strays) {
        tracing::warn!("what is left of records that no longer wait stays until the next opening: {error}");
    }
    Ok(quarantine)
}

fn unreadable(path: &Path) -> impl Fn(JoinError) -> StoreError {
    move |error| match error {
        JoinError::Database(error) => error.into(),
        JoinError::Damaged(error) => StoreError::damaged("read", path, error),
    }
}

/// Removes entries in small batches.
fn remove(rows: &Database, keys: Vec<Vec<u8>>) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    for key in keys {
        batch.remove(&key);
        if batch.bytes() >= BATCH_BYTES_MAX {
            rows.apply_and_sync_if_due(std::mem::take(&mut batch))?;
        }
    }
    match batch.bytes() {
        0 => Ok(()),
        _ => Ok(rows.apply_and_sync_if_due(batch)?),
    }
}

impl Generation {
    /// The waiting records of one key in one partition, in order.
    pub(crate) fn parked_of(&self, source: &SourceId, key: &str) -> Result<Vec<ParkedRecord>, StoreError> {
        let from = keys::parked_prefix(source, key);
        // The prefix ends with a byte 0, behind which the positions stand.
        let to = [&from[..from.len() - 1], &[1]].concat();
        let mut joining = Joining::of(self.rows.range(from..to));
        let mut records = Vec::new();
        while let Some(record) = joining.next().map_err(unreadable(&self.path))? {
            records.push(record);
        }
        Ok(records)
    }

    /// Writes a record that waits into a generation that is being built and that nobody reads.
    pub(crate) fn put_parked(&self, record: &ParkedRecord) -> Result<(), StoreError> {
        let stored = cut(record);
        for (key, value) in stored.pieces.iter().chain([&stored.head]) {
            self.rows.insert(key, value)?;
        }
        self.show_quarantine(|quarantine| quarantine.add(record))
    }

    /// Removes the pieces of records that no longer wait, or wait for another reason. The batch that said so has been
    /// written; whoever is killed before this leaves them to the next opening.
    pub(crate) fn remove_pieces(
        &self,
        records: impl IntoIterator<Item = ParkedRecord>,
    ) -> Result<(), StoreError> {
        for record in records {
            let from = keys::parked(&record.source, &record.key, record.position, record.view());
            let to = keys::parked_end(&from);
            let mut joining = Joining::of(self.rows.range(from..to));
            while joining.next().map_err(unreadable(&self.path))?.is_some() {}
            remove(&self.rows, joining.strays)?;
        }
        Ok(())
    }

    pub(super) fn show_quarantine(&self, change: impl FnOnce(&mut Quarantine)) -> Result<(), StoreError> {
        let mut moment = Moment::clone(&self.last_moment());
        change(Arc::make_mut(&mut moment.quarantine));
        self.moments.change(|| Ok(moment)).map(drop)
    }
}

impl Commit<'_> {
    /// Writes records that wait from now on. Their pieces are written at once, in small batches of their own.
    pub(crate) fn park(&mut self, records: Vec<ParkedRecord>) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for record in records {
            let stored = cut(&record);
            for (key, value) in &stored.pieces {
                batch.put(key, value);
                if batch.bytes() >= BATCH_BYTES_MAX {
                    self.generation.rows.apply_and_sync_if_due(std::mem::take(&mut batch))?;
                }
            }
            self.batch.put(&stored.head.0, &stored.head.1);
            Arc::make_mut(&mut self.quarantine).add(&record);
        }
        if batch.bytes() > 0 {
            self.generation.rows.apply_and_sync_if_due(batch)?;
        }
        Ok(())
    }

    /// Takes out records that no longer wait; [`Generation::remove_pieces`] removes the rest of them.
    pub(crate) fn unpark(&mut self, records: &[ParkedRecord]) {
        for record in records {
            self.batch.remove(&keys::parked(&record.source, &record.key, record.position, record.view()));
        }
        Arc::make_mut(&mut self.quarantine).remove(records);
    }

    /// Writes a record that goes on waiting, with the reason that it has now.
    pub(crate) fn park_again(&mut self, record: ParkedRecord) -> Result<(), StoreError> {
        Arc::make_mut(&mut self.quarantine).remove(std::slice::from_ref(&record));
        self.park(vec![record])
    }
}
