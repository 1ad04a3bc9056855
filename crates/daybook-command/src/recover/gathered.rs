//! Rows on their way into a store, gathered so that they are written in the order of their keys.
//!
//! sled takes ascending keys several times as fast as random ones, and a row that changes again before it is written
//! costs one write. What is gathered is bounded in bytes, and written by a thread of its own while more gathers.

use std::collections::BTreeMap;
use std::panic;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use daybook_store::{Store, StoreError};

/// Bytes of keys and values gathered before they are written, and once more while that is done; a few times that in
/// memory. So few in tests that some thousand events are written in several parts.
const GATHERED_BYTES_MAX: usize = if cfg!(test) { 64 * 1024 } else { 16 * 1024 * 1024 };

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// Rows written into a store that is in use, before a look at how much of it is unsynced.
const SYNCED_ROWS: usize = 64;

pub(super) struct Gathered {
    store: Arc<Store>,
    /// What is in the store already must not be lost: no more lies unsynced than may.
    is_in_use: bool,
    rows: Rows,
    bytes: usize,
    /// Are being written, and are in the store only in part.
    writing: Arc<Rows>,
    writer: Option<JoinHandle<Result<(), StoreError>>>,
}

impl Gathered {
    /// Into a new store.
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store, is_in_use: false, rows: Rows::new(), bytes: 0, writing: Arc::default(), writer: None }
    }

    /// Into a store that is in use.
    pub(super) fn synced(store: Arc<Store>) -> Self {
        let mut gathered = Self::new(store);
        gathered.is_in_use = true;
        gathered
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

    /// Writes what is gathered. Not atomic: nobody uses the rows before all are there.
    pub(super) fn write(&mut self) -> Result<(), StoreError> {
        self.begin_to_write()?;
        self.written()
    }

    /// Hands over what is gathered, once what was handed over before is written.
    fn begin_to_write(&mut self) -> Result<(), StoreError> {
        self.written()?;
        self.bytes = 0;
        self.writing = Arc::new(std::mem::take(&mut self.rows));
        let (store, rows, is_in_use) = (Arc::clone(&self.store), Arc::clone(&self.writing), self.is_in_use);
        let write = move || fill(&store, &rows, is_in_use);
        match thread::Builder::new().name("fill".to_owned()).spawn(write) {
            Ok(writer) => self.writer = Some(writer),
            // Without a thread it takes longer.
            Err(_) => fill(&self.store, &self.writing, is_in_use)?,
        }
        Ok(())
    }

    fn written(&mut self) -> Result<(), StoreError> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        writer.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
    }
}

fn fill(store: &Store, rows: &Rows, is_in_use: bool) -> Result<(), StoreError> {
    if !is_in_use {
        return store.fill(rows.iter());
    }
    let mut rows = rows.iter().peekable();
    while rows.peek().is_some() {
        let rows = rows.by_ref().take(SYNCED_ROWS);
        store.apply(rows.map(|(key, value)| (key.to_vec(), Some(value.to_vec()))).collect())?;
        if store.is_full_of_unsynced() {
            store.sync()?;
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A power cut may take what was there before with more than a segment of sled's log that is not synced; one of its buffers,
    /// another segment, comes on top where its threads are behind.
    #[test]
    fn a_store_that_is_in_use_has_no_more_unsynced_than_a_segment_and_a_buffer() {
        const UNSYNCED_BYTES_MAX: u64 = 2 * 1024 * 1024;
        for (make, is_bounded) in [(Gathered::synced as fn(_) -> _, true), (Gathered::new, false)] {
            let dir = TempDir::new().unwrap();
            let store = Arc::new(Store::open(dir.path(), 16 << 20).unwrap());
            let mut rows = make(Arc::clone(&store));
            let mut most = 0;
            for number in 0..40_000_u32 {
                rows.put(number.to_be_bytes().to_vec(), vec![1; 200]).unwrap();
                most = most.max(store.unsynced_bytes());
            }
            rows.write().unwrap();
            most = most.max(store.unsynced_bytes());
            assert_eq!(most <= UNSYNCED_BYTES_MAX, is_bounded, "{most} bytes");
            assert_eq!(store.get(&39_999_u32.to_be_bytes()).unwrap().unwrap().len(), 200);
        }
    }
}
