//! Rows on their way into the new store, gathered so that they are written in the order of their keys.
//!
//! sled takes ascending keys several times as fast as random ones, and a row that changes again before it is written
//! costs one write. What is gathered is bounded in bytes, and written by a thread of its own while more gathers.

use std::collections::BTreeMap;
use std::panic;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::kernel::store::{Store, StoreError};

/// Bytes of keys and values gathered before they are written, and once more while that is done; a few times that in
/// memory. So few in tests that some thousand events are written in several parts.
const GATHERED_BYTES_MAX: usize = if cfg!(test) { 64 * 1024 } else { 16 * 1024 * 1024 };

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// The new store, and over it what is not written yet.
pub(super) struct Gathered {
    store: Arc<Store>,
    rows: Rows,
    bytes: usize,
    /// Are being written, and are in the store only in part.
    writing: Arc<Rows>,
    writer: Option<JoinHandle<Result<(), StoreError>>>,
}

impl Gathered {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store, rows: Rows::new(), bytes: 0, writing: Arc::default(), writer: None }
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.rows.get(key).or_else(|| self.writing.get(key)) {
            Some(row) => Ok(Some(row.clone())),
            None => Ok(self.store.get(key)?.map(|row| row.to_vec())),
        }
    }

    pub(super) fn put(&mut self, key: Vec<u8>, row: Vec<u8>) -> Result<(), StoreError> {
        self.bytes += key.len() + row.len();
        if let Some(before) = self.rows.insert(key, row) {
            self.bytes = self.bytes.saturating_sub(before.len());
        }
        if self.bytes >= GATHERED_BYTES_MAX { self.begin_to_write() } else { Ok(()) }
    }

    /// Writes what is gathered. Not atomic: nobody opens the new store before it is whole.
    pub(super) fn write(&mut self) -> Result<(), StoreError> {
        self.begin_to_write()?;
        self.written()
    }

    /// Hands over what is gathered, once what was handed over before is written.
    fn begin_to_write(&mut self) -> Result<(), StoreError> {
        self.written()?;
        self.bytes = 0;
        self.writing = Arc::new(std::mem::take(&mut self.rows));
        let (store, rows) = (Arc::clone(&self.store), Arc::clone(&self.writing));
        let write = move || store.fill(rows.iter());
        match thread::Builder::new().name("fill".to_owned()).spawn(write) {
            Ok(writer) => self.writer = Some(writer),
            // Without a thread it takes longer.
            Err(_) => self.store.fill(self.writing.iter())?,
        }
        Ok(())
    }

    fn written(&mut self) -> Result<(), StoreError> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        writer.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
    }
}

impl Drop for Gathered {
    /// Nothing is written to the store any more when this is gone.
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            // Whoever gives up has a reason of its own.
            let _ = writer.join();
        }
    }
}
