//! The store: bytes in, bytes out; what they mean stands in `keys` and `rows`. What is sled's stands in `database`.
//!
//! **Durable means fdatasync.** On Linux sled 0.34 ends `flush()` with `sync_file_range`, which neither writes the
//! file's size nor empties the disk's own cache: after a power cut the data may be gone. So [`Store::sync`] calls
//! `fdatasync` on a handle of its own to the same file, after sled has handed its buffers to the system.
//!
//! **What nobody waits for is synced as well**: what is followed, and what a record has in the journal. Losing those would do no
//! harm, but they would take others with them. sled moves pages, and writes new ones over the segment where the old ones
//! were as soon as the new ones are stable *in its own eyes*, which again is no more than `sync_file_range`. After a power
//! cut the old place may be overwritten and the new one not there: rows that were durable long ago are gone, and the store
//! cannot be opened. By sled's rules there is a whole segment at least between where a page was moved to and the write
//! over its old segment. So at most one segment, 1 MiB, of sled's log may be unsynced. How much it is, is not reckoned
//! from what sled is given (it rewrites whole pages, and others beside them), but read off its log's own sequence number.
//! [`Store::is_sync_due`] is true from half a segment on, or after half a second. A thread of its own looks twice a second
//! and whenever it is told (`index`); who writes a record waits for a sync while half a segment waits, and the relay marks
//! nothing then. A batch may come on top, or a buffer of sled (a segment) that its threads are behind with.
//!
//! **Values stay small.** An item of more than a quarter of a segment goes into a file of its own under `blobs`, which
//! sled does not sync. A tree node holds up to 16 entries (some more before it splits), so a value may have at most
//! [`VALUE_BYTES_MAX`], which is checked before anything is written.
//!
//! **Rows add up to their digest.** sled drops what is damaged in the middle of its log without a word (`added_up`), so a row
//! has the digest of all others, each batch changes it, and an opening reads all rows and adds them up.
//!
//! **A failed write is for ever** within one opened database: sled remembers its first I/O error. [`Store::reopen`]
//! opens it afresh, from what the system has of the file. That is what the disk has, unless the disk failed: then the
//! system may have forgotten that what was written is not there, and the database is given up (`index`).
//!
//! **A batch that fails on its way may be there in part**: what sled had inserted before it met a page that it cannot read
//! counts by itself. So after any failure nothing more is written before the store has been opened afresh, where whoever
//! writes finds out what became of the batch (`index`).

mod added_up;
mod damage;
mod database;
mod unsynced;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use daybook_service::too_many_files;

use super::keys::Span;
use database::Database;
use unsynced::UNSYNCED_BYTES_MAX;

pub(crate) use damage::EIO;
pub(crate) use database::Value;
pub(crate) use unsynced::SYNC_PAUSE;

/// Segment size of sled's log.
const SEGMENT_BYTES: usize = 1024 * 1024;
/// Largest key and value together: 20 of them in one node stay below a quarter of a segment.
pub(crate) const VALUE_BYTES_MAX: usize = SEGMENT_BYTES / 4 / 20;

/// Why the store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be opened.
    #[error("the store in {dir} cannot be opened: {detail}{}", advice(detail, *is_damage))]
    Open {
        /// Directory of the database.
        dir: PathBuf,
        /// sled's words, or the system's.
        detail: String,
        /// Whether what is there is not what was written; else the disk does not do as asked.
        is_damage: bool,
    },
    /// Rows are not of one time, and sled says nothing.
    #[error(
        "some rows of the store are older than others, or gone: they do not add up to the digest that was written with the newest of them"
    )]
    NotAsWritten,
    /// There are rows, and no digest of them.
    #[error("the store has lost the digest of its rows")]
    NoDigest,
    /// The database cannot be read or written.
    #[error("the store cannot {doing}: {detail}")]
    Database {
        /// What was tried.
        doing: &'static str,
        /// sled's words.
        detail: String,
        /// Whether what is there is not what was written; else the disk does not do as asked.
        is_damage: bool,
    },
    /// The data could not be brought to the disk.
    #[error("the store cannot be synced to disk")]
    Sync(#[source] io::Error),
    /// A write or a sync failed before.
    #[error("an earlier write of the store failed; it takes no more until it has been opened afresh")]
    Failed,
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

impl StoreError {
    /// Whether what is there is not what was written, as far as can be told: another attempt would not help then.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Open { is_damage, .. } | Self::Database { is_damage, .. } => *is_damage,
            Self::NotAsWritten | Self::NoDigest => true,
            _ => false,
        }
    }

    /// The same, as met by whoever opens the database in `dir`.
    fn of_opening(self, dir: &Path) -> Self {
        match self {
            Self::Database { detail, is_damage, .. } => Self::Open { dir: dir.to_owned(), detail, is_damage },
            error => error,
        }
    }
}

/// What helps whoever cannot open a store; of damage, whoever opens it says what becomes of it.
fn advice(detail: &str, is_damage: bool) -> String {
    const USUAL: &str = "see that the disk has space and may be written, and that nobody else has it open";
    match too_many_files(detail) {
        Some(advice) => format!("; {advice}"),
        None if is_damage => String::new(),
        None => format!("; {USUAL}"),
    }
}

/// What is done about pages that cannot be read, of a store that is opened. Whoever reads one of them meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The store is damaged: it can be built again.
    IsDamage,
    /// Everything else is gone on with, although the rest cannot be added up without them.
    IsLeft,
}

/// What the digest counts that a store has noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    /// There is one, unless there are no rows, and they add up to it.
    MustBe,
    /// If there is one, they add up to it.
    MayBe,
    /// A program that knows of none may have written behind it.
    Ignored,
}

/// Writes that take effect together: a value, or none to remove the key.
pub(crate) type Writes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// A directory of bytes: one database, written atomically, synced on demand.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    cache_bytes: u64,
    unreadable: Unreadable,
    opened: RwLock<Option<Database>>,
}

/// Refuses what the store would not take, before anything of it is written: another attempt would not help.
///
/// # Errors
/// [`StoreError::TooLarge`].
pub(crate) fn check_sizes(writes: &Writes) -> Result<(), StoreError> {
    writes.iter().try_for_each(|(key, value)| check_size(key, value.as_deref().unwrap_or_default()))
}

fn check_size(key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    let bytes = key.len() + value.len();
    if bytes > VALUE_BYTES_MAX { Err(StoreError::TooLarge { bytes }) } else { Ok(()) }
}

impl Store {
    /// Opens the database in `dir`, or makes one. All its rows are read.
    ///
    /// # Errors
    /// [`StoreError::Open`] if the directory cannot be used or holds something damaged.
    pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        Self::open_telling(dir, cache_bytes, (Noted::MayBe, Unreadable::IsDamage), &|_| {})
    }

    /// The same; `tell` hears how many rows have been read so far.
    ///
    /// # Errors
    /// As [`Store::open`]; pages that cannot be read are left, if so asked.
    pub(crate) fn open_telling(
        dir: &Path,
        cache_bytes: u64,
        (noted, unreadable): (Noted, Unreadable),
        tell: &(dyn Fn(u64) + Sync),
    ) -> Result<Self, StoreError> {
        let opened = RwLock::new(Some(Database::open(dir, cache_bytes, (noted, unreadable), tell)?));
        Ok(Self { dir: dir.to_owned(), cache_bytes, unreadable, opened })
    }

    /// Whether it was opened although pages of it cannot be read, since it could not be built again: who needs them is refused,
    /// and it is not given up.
    pub(crate) fn is_all_there_is(&self) -> bool {
        self.unreadable == Unreadable::IsLeft
    }

    /// Opens a database of which something is only to be read, as it is: one that no digest is kept of, or whose damage is
    /// no reason to do without the rest.
    ///
    /// # Errors
    /// [`StoreError::Open`] if sled cannot open it.
    pub(crate) fn open_as_it_is(dir: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let opened = RwLock::new(Some(Database::open_as_it_is(dir, cache_bytes)?));
        Ok(Self { dir: dir.to_owned(), cache_bytes, unreadable: Unreadable::IsDamage, opened })
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        self.opened(|opened| opened.get(key))
    }

    /// Entries from `span.0` up to before `span.1`, in key order, at most `count_max`.
    pub(crate) fn scan(&self, span: &Span, count_max: usize) -> Result<Vec<(Value, Value)>, StoreError> {
        self.opened(|opened| opened.scan(span, count_max))
    }

    /// The last entry of `span`.
    pub(crate) fn last(&self, span: &Span) -> Result<Option<(Value, Value)>, StoreError> {
        self.opened(|opened| opened.last(span))
    }

    /// Applies all writes or none. They are visible at once and durable after [`Store::sync`].
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] before anything is written.
    pub(crate) fn apply(&self, writes: Writes) -> Result<(), StoreError> {
        check_sizes(&writes)?;
        self.opened(|opened| opened.apply(writes))
    }

    /// Writes entries one by one, in their order: the fastest way into sled if keys ascend. For a store that is thrown away if
    /// this does not come to its end: until then its rows do not add up to the digest.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]; what came before is written.
    pub(crate) fn fill<B: AsRef<[u8]>>(
        &self,
        entries: impl IntoIterator<Item = (B, B)>,
    ) -> Result<(), StoreError> {
        self.opened(|opened| opened.fill(entries))
    }

    /// Returns when everything applied so far survives a power cut.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.opened(Database::sync)
    }

    /// Bytes of sled's file; none if the disk does not say.
    pub(crate) fn bytes(&self) -> u64 {
        self.dir.join("db").metadata().map_or(0, |file| file.len())
    }

    /// Whether so much lies unsynced, or for so long, that a sync is due.
    pub(crate) fn is_sync_due(&self) -> bool {
        self.opened(|opened| Ok(opened.is_sync_due())).unwrap_or(false)
    }

    /// Whether so much lies unsynced that what nobody waits for has to wait for a sync.
    pub(crate) fn is_full_of_unsynced(&self) -> bool {
        self.unsynced_bytes() >= UNSYNCED_BYTES_MAX
    }

    /// Bytes of sled's log that are written and not synced; what it still has in memory is not counted.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.opened(|opened| Ok(opened.unsynced_bytes())).unwrap_or(0)
    }

    /// Whether what it wrote may not be on the disk, so that it must not be gone on with. What a write of sled's own threads
    /// met, sled tells whoever comes next: that may be somebody who reads.
    pub(crate) fn is_distrusted(&self) -> bool {
        self.opened(|opened| Ok(opened.is_distrusted())).unwrap_or(false)
    }

    /// Closes the database and opens it again: what the file holds counts. What was not read before, and cannot be read, is left
    /// to whoever needs it.
    pub(crate) fn reopen(&self) -> Result<(), StoreError> {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        Database::close(opened.take());
        *opened =
            Some(Database::open(&self.dir, self.cache_bytes, (Noted::MustBe, Unreadable::IsLeft), &|_| {})?);
        Ok(())
    }

    /// Syncs and closes; later calls get [`StoreError::Closed`].
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        let synced = self.sync();
        Database::close(self.opened.write().unwrap_or_else(PoisonError::into_inner).take());
        synced
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<Database>> {
        self.opened.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened<T>(&self, work: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        work(self.read().as_ref().ok_or(StoreError::Closed)?)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        Database::close(self.opened.get_mut().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
