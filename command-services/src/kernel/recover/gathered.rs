//! Rows on their way into the new store, gathered so that they are written in the order of their keys.
//!
//! sled takes ascending keys several times as fast as random ones, and a row that changes again before it is written
//! costs one write. What is gathered is bounded in bytes.

use std::collections::BTreeMap;

use crate::kernel::store::{Store, StoreError};

/// Bytes of keys and values gathered before they are written; a few times that in memory. So few in tests that some
/// thousand events are written in several parts.
const GATHERED_BYTES_MAX: usize = if cfg!(test) { 64 * 1024 } else { 16 * 1024 * 1024 };

/// The new store, and over it what is not written yet.
pub(super) struct Gathered<'s> {
    store: &'s Store,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    bytes: usize,
}

impl<'s> Gathered<'s> {
    pub(super) fn new(store: &'s Store) -> Self {
        Self { store, rows: BTreeMap::new(), bytes: 0 }
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.rows.get(key) {
            Some(row) => Ok(Some(row.clone())),
            None => Ok(self.store.get(key)?.map(|row| row.to_vec())),
        }
    }

    pub(super) fn put(&mut self, key: Vec<u8>, row: Vec<u8>) -> Result<(), StoreError> {
        self.bytes += key.len() + row.len();
        if let Some(before) = self.rows.insert(key, row) {
            self.bytes = self.bytes.saturating_sub(before.len());
        }
        if self.bytes >= GATHERED_BYTES_MAX { self.write() } else { Ok(()) }
    }

    /// Writes what is gathered. Not atomic: nobody opens the new store before it is whole.
    pub(super) fn write(&mut self) -> Result<(), StoreError> {
        self.bytes = 0;
        self.store.fill(std::mem::take(&mut self.rows))
    }
}
