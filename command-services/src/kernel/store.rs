//! The store: the one file that knows sled. Bytes in, bytes out; what they mean stands in `keys` and `rows`.
//!
//! **Durable means fdatasync.** On Linux sled 0.34 ends `flush()` with `sync_file_range`, which neither writes the
//! file's size nor empties the disk's own cache: after a power cut the data may be gone. So [`Store::sync`] calls
//! `fdatasync` on a handle of its own to the same file, after sled has handed its buffers to the system.
//!
//! **Values stay small.** An item of more than a quarter of a segment goes into a file of its own under `blobs`, which
//! sled does not sync. A tree node holds up to 16 entries (some more before it splits), so a value may have at most
//! [`VALUE_BYTES_MAX`], which is checked before anything is written.
//!
//! **A failed write is for ever** within one opened database: sled remembers its first I/O error. [`Store::reopen`]
//! opens it afresh, from what the system has of the file. That is what the disk has, unless a sync failed and the system
//! forgot that it did; nothing was acknowledged then, and the log decides at the next start.

use std::fs::{File, TryLockError};
use std::io;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::keys::Span;

/// Segment size of sled's log.
const SEGMENT_BYTES: usize = 1024 * 1024;
/// Largest key and value together: 20 of them in one node stay below a quarter of a segment.
pub(crate) const VALUE_BYTES_MAX: usize = SEGMENT_BYTES / 4 / 20;

/// How long sled may keep its lock after a database was closed; then opening it fails with sled's words.
const UNLOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two looks at the lock.
const UNLOCK_POLL: Duration = Duration::from_millis(10);

/// Why the store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be opened.
    #[error(
        "the store in {dir} cannot be opened: {detail}; see that the disk has space and may be written, and if the store is damaged \
         start with --recover to rebuild it from the log"
    )]
    Open {
        /// Directory of the database.
        dir: PathBuf,
        /// sled's words, or the system's.
        detail: String,
    },
    /// The database cannot be read or written.
    #[error("the store cannot {doing}: {detail}")]
    Database {
        /// What was tried.
        doing: &'static str,
        /// sled's words.
        detail: String,
    },
    /// The data could not be brought to the disk.
    #[error("the store cannot be synced to disk")]
    Sync(#[source] io::Error),
    /// The store was closed after an error and has not been opened again.
    #[error("the store is closed after an earlier failure")]
    Closed,
    /// A value is larger than the store can keep safely.
    #[error("a value of {bytes} bytes is too large for the store, which takes up to {VALUE_BYTES_MAX}")]
    TooLarge {
        /// Its size with its key.
        bytes: usize,
    },
}

/// Writes that take effect together: a value, or none to remove the key.
pub(crate) type Writes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// A stored value.
#[derive(Debug)]
pub(crate) struct Value(sled::IVec);

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// A directory of bytes: one database, written atomically, synced on demand.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    cache_bytes: u64,
    opened: RwLock<Option<Opened>>,
}

#[derive(Debug)]
struct Opened {
    db: sled::Db,
    file: File,
}

impl Store {
    /// Opens the database in `dir`, or makes one.
    ///
    /// # Errors
    /// [`StoreError::Open`] if the directory cannot be used or holds something damaged.
    pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let opened = RwLock::new(Some(open(dir, cache_bytes)?));
        Ok(Self { dir: dir.to_owned(), cache_bytes, opened })
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        self.with("read", |db| Ok(db.get(key)?.map(Value)))
    }

    /// Entries from `span.0` up to before `span.1`, in key order, at most `count_max`.
    pub(crate) fn scan(&self, span: &Span, count_max: usize) -> Result<Vec<(Value, Value)>, StoreError> {
        self.with("read", |db| {
            let entries = db.range(&span.0[..]..&span.1[..]).take(count_max);
            entries.map(|entry| entry.map(|(key, value)| (Value(key), Value(value)))).collect()
        })
    }

    /// The last entry of `span`.
    pub(crate) fn last(&self, span: &Span) -> Result<Option<(Value, Value)>, StoreError> {
        self.with("read", |db| {
            let last = db.range(&span.0[..]..&span.1[..]).next_back();
            last.map(|entry| entry.map(|(key, value)| (Value(key), Value(value)))).transpose()
        })
    }

    /// Applies all writes or none. They are visible at once and durable after [`Store::sync`].
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] before anything is written.
    pub(crate) fn apply(&self, writes: Writes) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            let bytes = key.len() + value.as_ref().map_or(0, Vec::len);
            match value {
                _ if bytes > VALUE_BYTES_MAX => return Err(StoreError::TooLarge { bytes }),
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.with("write", |db| db.apply_batch(batch))
    }

    /// Writes entries one by one, in the order in which they come: the fastest way into sled if their keys ascend. For a
    /// store that nobody else has open yet.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]; what came before is written.
    pub(crate) fn fill(
        &self,
        entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        for (key, value) in entries {
            let bytes = key.len() + value.len();
            if bytes > VALUE_BYTES_MAX {
                return Err(StoreError::TooLarge { bytes });
            }
            self.with("write", |db| db.insert(key, value))?;
        }
        Ok(())
    }

    /// Returns when everything applied so far survives a power cut.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.with("write", |db| db.flush())?;
        let opened = self.read();
        opened.as_ref().ok_or(StoreError::Closed)?.file.sync_data().map_err(StoreError::Sync)
    }

    /// Closes the database and opens it again: what the file holds counts.
    pub(crate) fn reopen(&self) -> Result<(), StoreError> {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        close(opened.take());
        *opened = Some(open(&self.dir, self.cache_bytes)?);
        Ok(())
    }

    /// Syncs and closes; later calls get [`StoreError::Closed`].
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        let synced = self.sync();
        close(self.opened.write().unwrap_or_else(PoisonError::into_inner).take());
        synced
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<Opened>> {
        self.opened.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&sled::Db) -> sled::Result<T>,
    ) -> Result<T, StoreError> {
        let opened = self.read();
        let opened = opened.as_ref().ok_or(StoreError::Closed)?;
        work(&opened.db).map_err(|error| StoreError::Database { doing, detail: error.to_string() })
    }
}

fn open(dir: &Path, cache_bytes: u64) -> Result<Opened, StoreError> {
    let failed = |detail: String| StoreError::Open { dir: dir.to_owned(), detail };
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(cache_bytes)
        .segment_size(SEGMENT_BYTES)
        // We sync when a group of commands is complete, not by the clock.
        .flush_every_ms(None);
    wait_unlocked(&dir.join("db"));
    let db = config.open().map_err(|error| failed(error.to_string()))?;
    let file = File::open(dir.join("db")).map_err(|error| failed(error.to_string()))?;
    // The file's own name must survive as well.
    sync_dir(dir).map_err(|error| failed(error.to_string()))?;
    Ok(Opened { db, file })
}

/// sled keeps its lock on the file for a moment after a database was dropped, since its threads end a little later. Nobody
/// else can have it: this process holds the lock of the directory above.
fn wait_unlocked(file: &Path) {
    let began = Instant::now();
    let is_locked =
        || File::open(file).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
    while is_locked() && began.elapsed() < UNLOCK_TIMEOUT {
        thread::sleep(UNLOCK_POLL);
    }
}

/// sled panics while closing a database whose disk fails; by then nothing is left to lose.
fn close(opened: Option<Opened>) {
    if catch_unwind(AssertUnwindSafe(|| drop(opened))).is_err() {
        tracing::warn!("the store could not be closed in order");
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
