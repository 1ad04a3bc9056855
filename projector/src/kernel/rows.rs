//! An ordered map of bytes on disk: the one file that imports sled.

use std::ops::{Deref, RangeBounds};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::files;
use super::store::StoreError;

/// sled's own cache of pages.
const SLED_CACHE_BYTES: u64 = 64 << 20;
/// How often sled syncs what has been written while following; what a power cut loses, the log gives again.
const SYNC_EVERY_MS: u64 = 500;
/// How long sled may take to let go of a store that has been closed.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often that is looked at.
const RELEASE_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// An open store.
pub(super) struct Rows {
    tree: sled::Db,
    path: PathBuf,
}

/// Bytes of a row, without copying them out of the store.
#[derive(Debug, Clone)]
pub struct Bytes(sled::IVec);

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Changes that are written whole or not at all.
#[derive(Default)]
pub(super) struct Batch(sled::Batch);

impl Batch {
    pub(super) fn put(&mut self, key: Vec<u8>, value: Option<&[u8]>) {
        match value {
            Some(value) => self.0.insert(key, value),
            None => self.0.remove(key),
        }
    }
}

impl Rows {
    /// A store to be filled: nothing is synced before [`Rows::flush`].
    pub(super) fn create(path: &Path) -> Result<Self, StoreError> {
        let opened = config(path).flush_every_ms(None).mode(sled::Mode::HighThroughput).open();
        let tree = opened.map_err(|error| StoreError::new("create", path, error))?;
        Ok(Self { tree, path: path.to_owned() })
    }

    /// A store that exists. sled lets go of its lock a moment after a store was closed; the caller holds the directory,
    /// so that moment is all there is to wait for.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let deadline = Instant::now() + RELEASE_TIMEOUT;
        loop {
            match config(path).flush_every_ms(Some(SYNC_EVERY_MS)).open() {
                Ok(tree) => return Ok(Self { tree, path: path.to_owned() }),
                Err(_) if files::is_locked(&path.join("db")) && Instant::now() < deadline => {
                    thread::sleep(RELEASE_POLL_INTERVAL);
                }
                Err(error) => return Err(StoreError::new("open", path, error)),
            }
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.tree.get(key).map(|value| value.map(Bytes)).map_err(|error| self.error("read", error))
    }

    /// Writes one row by itself; `None` removes it. In ascending order of keys this is twice as fast as batches.
    pub(super) fn put(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        let written = match value {
            Some(value) => self.tree.insert(key, value),
            None => self.tree.remove(key),
        };
        written.map(drop).map_err(|error| self.error("write", error))
    }

    pub(super) fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        self.tree.apply_batch(batch.0).map_err(|error| self.error("write", error))
    }

    /// Keys and values in the order of the keys.
    pub(super) fn range(
        &self,
        keys: impl RangeBounds<Vec<u8>>,
    ) -> impl Iterator<Item = Result<(Bytes, Bytes), StoreError>> {
        let entries = self.tree.range(keys);
        entries.map(|entry| {
            entry.map(|(key, value)| (Bytes(key), Bytes(value))).map_err(|error| self.error("read", error))
        })
    }

    pub(super) fn flush(&self) -> Result<(), StoreError> {
        self.tree.flush().map(drop).map_err(|error| self.error("write", error))
    }

    fn error(&self, action: &'static str, error: sled::Error) -> StoreError {
        StoreError::new(action, &self.path, error)
    }
}

fn config(path: &Path) -> sled::Config {
    sled::Config::new().path(path).cache_capacity(SLED_CACHE_BYTES)
}
