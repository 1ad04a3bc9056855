//! A database that keeps the digest of its rows, and can be opened again.
//!
//! **Rows add up to their digest.** sled drops what is damaged in the middle of its log without a word (`added_up`), so a row
//! has the digest of all others, each batch changes it, and an opening reads all rows and adds them up.
//!
//! **What nobody waits for is synced as well** (`unsynced` says why): [`Store::is_sync_due`] is true from half a segment on, or
//! after half a second. A thread looks twice a second and whenever it is asked to; who writes waits for a sync while half a
//! segment waits. A batch may come on top, or a buffer of sled (a segment) that its threads are behind with.
//!
//! **After any failure nothing more is written** before the store has been opened again, from what the system has of the file.
//! That is what the disk has, unless the disk failed ([`Store::is_distrusted`]): then the system may have forgotten that what
//! was written is not there, and the database must be given up.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use crate::database::{Bytes, VALUE_BYTES_MAX, Writes};
use crate::error::{DatabaseError, StoreError};
use crate::opened::Opened;
use crate::opening::LOG_FILE;

/// Keys from the first one on up to before the second.
pub type Span = (Vec<u8>, Vec<u8>);

/// What is done about pages that cannot be read, of a store that is opened. The one that reads one of them meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    IsDamage,
    /// Everything else is still used, although the rest cannot be added up without them.
    IsLeft,
}

/// What the digest counts that a store has noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// There is one, unless there are no rows, and they add up to it.
    MustBe,
    /// If there is one, they add up to it.
    MayBe,
    /// A program that knows of none may have written behind it.
    Ignored,
}

/// A directory of bytes: one database, written atomically, synced on demand. What fails says why in a [`StoreError`].
pub struct Store {
    dir: PathBuf,
    cache_bytes: u64,
    unreadable: Unreadable,
    opened: RwLock<Option<Opened>>,
}

/// Refuses what the store would not take, before anything of it is written: another attempt would not help.
pub fn check_sizes(writes: &Writes) -> Result<(), StoreError> {
    writes.iter().try_for_each(|(key, value)| check_size(key, value.as_deref().unwrap_or_default()))
}

pub(crate) fn check_size(key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    let bytes = key.len() + value.len();
    if bytes > VALUE_BYTES_MAX { Err(StoreError::TooLarge { bytes }) } else { Ok(()) }
}

impl Store {
    /// Opens the database in `dir`, or makes one. All its rows are read.
    /// Errors: [`StoreError`] if the directory cannot be used or holds something damaged.
    pub fn open(dir: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        Self::open_reporting(dir, cache_bytes, (Noted::MayBe, Unreadable::IsDamage), &|_| {})
    }

    /// The same; `report` is given how many rows have been read so far.
    /// Errors: As [`Store::open`]; pages that cannot be read are left, if so asked.
    pub fn open_reporting(
        dir: &Path,
        cache_bytes: u64,
        (noted, unreadable): (Noted, Unreadable),
        report: &(dyn Fn(u64) + Sync),
    ) -> Result<Self, StoreError> {
        let opened = RwLock::new(Some(Opened::open(dir, cache_bytes, (noted, unreadable), report)?));
        Ok(Self { dir: dir.to_owned(), cache_bytes, unreadable, opened })
    }

    /// Opens a database of which something is only to be read, as it is: one that no digest is kept of, or whose damage is
    /// no reason to do without the rest.
    pub fn open_as_it_is(dir: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let opened = RwLock::new(Some(Opened::open_as_it_is(dir, cache_bytes)?));
        Ok(Self { dir: dir.to_owned(), cache_bytes, unreadable: Unreadable::IsDamage, opened })
    }

    /// Whether it was opened although pages of it cannot be read, since it could not be built again: who needs them is refused,
    /// and it is not given up.
    pub fn is_all_there_is(&self) -> bool {
        self.unreadable == Unreadable::IsLeft
    }

    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.opened(|opened| Ok(opened.database.get(key)?))
    }

    /// Entries of `span` in key order, at most `count_max`.
    pub fn scan(&self, (from, to): &Span, count_max: usize) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        self.opened(|opened| {
            let entries = opened.database.range(from.clone()..to.clone()).take(count_max);
            Ok(entries.collect::<Result<_, DatabaseError>>()?)
        })
    }

    pub fn last(&self, (from, to): &Span) -> Result<Option<(Bytes, Bytes)>, StoreError> {
        self.opened(|opened| Ok(opened.database.last(from.clone()..to.clone())?))
    }

    /// Applies all writes or none. They are visible at once and durable after [`Store::sync`].
    /// Errors: [`StoreError::TooLarge`] before anything is written.
    pub fn apply(&self, writes: Writes) -> Result<(), StoreError> {
        check_sizes(&writes)?;
        self.opened(|opened| opened.apply(writes))
    }

    /// Writes entries one by one, in their order: the fastest way into sled if keys ascend. For a store that is thrown away if
    /// this does not come to its end: until then its rows do not add up to the digest.
    /// Errors: [`StoreError::TooLarge`]; what came before is written.
    pub fn fill<B: AsRef<[u8]>>(&self, entries: impl IntoIterator<Item = (B, B)>) -> Result<(), StoreError> {
        self.opened(|opened| opened.fill(entries))
    }

    /// Returns when everything applied so far survives a power cut.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.opened(Opened::sync)
    }

    pub fn bytes(&self) -> u64 {
        self.dir.join(LOG_FILE).metadata().map_or(0, |file| file.len())
    }

    /// Whether so much lies unsynced, or for so long, that a sync is due.
    pub fn is_sync_due(&self) -> bool {
        self.opened(|opened| Ok(opened.database.is_sync_due())).unwrap_or(false)
    }

    /// Whether so much lies unsynced that what nobody waits for has to wait for a sync.
    pub fn is_full_of_unsynced(&self) -> bool {
        self.opened(|opened| Ok(opened.database.is_full_of_unsynced())).unwrap_or(false)
    }

    /// Bytes of sled's log that are written and not synced; what it still has in memory is not counted.
    pub fn unsynced_bytes(&self) -> u64 {
        self.opened(|opened| Ok(opened.database.unsynced_bytes())).unwrap_or(0)
    }

    /// Whether what it wrote may not be on the disk, so that it must not be used any more.
    pub fn is_distrusted(&self) -> bool {
        self.opened(|opened| Ok(opened.is_distrusted())).unwrap_or(false)
    }

    /// Closes the database and opens it again: what the file holds counts. What was not read before, and cannot be read, is left
    /// to the one that needs it.
    /// Errors: [`StoreError`]; the store is closed then.
    pub fn reopen(&self) -> Result<(), StoreError> {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        close(opened.take());
        *opened =
            Some(Opened::open(&self.dir, self.cache_bytes, (Noted::MustBe, Unreadable::IsLeft), &|_| {})?);
        Ok(())
    }

    /// Syncs and closes; later calls get [`StoreError::Closed`].
    /// Errors: [`StoreError`] of the sync; it is closed all the same.
    pub fn close(&self) -> Result<(), StoreError> {
        let synced = self.sync();
        close(self.opened.write().unwrap_or_else(PoisonError::into_inner).take());
        synced
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<Opened>> {
        self.opened.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened<T>(&self, work: impl FnOnce(&Opened) -> Result<T, StoreError>) -> Result<T, StoreError> {
        work(self.read().as_ref().ok_or(StoreError::Closed)?)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        close(self.opened.get_mut().unwrap_or_else(PoisonError::into_inner).take());
    }
}

fn close(opened: Option<Opened>) {
    if let Some(opened) = opened {
        opened.database.close();
    }
}
