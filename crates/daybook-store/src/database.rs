//! A database of sled that is open: how it is opened, read, written and synced. The one file of the repository that imports
//! sled.
//!
//! **Durable means fdatasync.** On Linux sled 0.34 ends `flush()` with `sync_file_range`, which promises nothing (`unsynced`). So
//! [`Database::sync`] calls `fdatasync` on a handle of its own to the same file, after sled has handed its buffers to the
//! system.
//!
//! **Values stay small.** An item of more than a quarter of a segment goes into a file of its own under `blobs`, which
//! sled does not sync. A tree node holds up to 16 entries (some more before it splits), so key and value together may have at
//! most [`VALUE_BYTES_MAX`].
//!
//! **A failed write is for ever** within one opened database: sled remembers its first error of that kind.
//!
//! **A batch that fails on its way may be there in part**: what sled had inserted before it met a page that it cannot read
//! counts by itself.

use std::fs::File;
use std::io;
use std::ops::{Deref, Range, RangeBounds};
use std::path::{Path, PathBuf};

use crate::error::{Cause, DatabaseError, Doing};
use crate::files::sync_dir;
use crate::guard::{Guarded, Panicked, guarded};
use crate::opening::{self, LOG_FILE};
use crate::unsynced::{FOLLOWED_BYTES_MAX, INDEX_BYTES_MAX, Unsynced};

/// sled's unit of writing and of reclaiming space; a database is at least a few of them large. Large values are cheaper in larger
/// ones than sled's 512 KiB; in 2 MiB the kernel takes far longer to copy each byte (measured on Linux 6 with ext4: two
/// thirds more processor time for 400 MiB of values of 32 KiB than in 1 MiB).
pub(crate) const SEGMENT_BYTES: usize = 1 << 20;
/// Largest key and value together: 20 of them in one node stay below a quarter of a segment.
pub const VALUE_BYTES_MAX: usize = SEGMENT_BYTES / 4 / 20;
/// Keys and values of one batch of what is followed into, in bytes: what sled makes of them, pages that it writes again and all,
/// has to stay well below a segment, since no sync can come in the middle of a batch. 19 times as much was seen.
pub const BATCH_BYTES_MAX: usize = 32 * 1024;
/// How often sled writes what it has in memory of what is followed into; what a power cut loses, the log gives again.
const FLUSH_EVERY_MS: u64 = 500;
const SORTED: &str = "blocks";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Rows that change one by one, and are synced by who writes them ([`Database::sync`]).
    Index,
    /// Rows that were filled in once and are followed into since ([`Database::sync_if_due`]).
    Followed,
    /// Rows that are filled in, in a database that is thrown away unless this comes to its end: nothing is synced before.
    Filled,
}

/// Writes that take effect together: a value, or none to remove the key. Of several with one key the last counts.
pub type Writes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Writes that take effect together, and how large they are.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) writes: Writes,
    bytes: usize,
}

impl Batch {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.bytes += key.len() + value.len();
        self.writes.push((key.to_vec(), Some(value.to_vec())));
    }

    pub fn remove(&mut self, key: &[u8]) {
        self.bytes += key.len();
        self.writes.push((key.to_vec(), None));
    }
}

#[derive(Debug, Clone)]
pub struct Bytes {
    stored: sled::IVec,
    range: Range<usize>,
}

impl Bytes {
    /// Those of `range`, which must lie within.
    pub fn slice(&self, range: Range<usize>) -> Self {
        let start = self.range.start;
        Self { stored: self.stored.clone(), range: start + range.start..start + range.end }
    }
}

impl From<sled::IVec> for Bytes {
    fn from(stored: sled::IVec) -> Self {
        let range = 0..stored.len();
        Self { stored, range }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.stored[self.range.clone()]
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// A database that is open: a tree of rows that change, and one of rows that are filled in by their order ([`crate::sorted`]). What
/// fails says why in a [`DatabaseError`]; after a write that failed, all later ones do.
pub struct Database {
    rows: sled::Db,
    sorted: Option<sled::Tree>,
    dir: PathBuf,
    purpose: Purpose,
    file: File,
    unsynced: Unsynced,
    #[cfg(feature = "testing")]
    largest_batch: std::sync::atomic::AtomicUsize,
}

impl Database {
    /// Opens the database in `dir`, or makes one. The caller holds a lock of a directory above.
    pub fn open(dir: &Path, purpose: Purpose, cache_bytes: u64) -> Result<Self, DatabaseError> {
        let failed = |detail, cause| {
            let (doing, dir) = (Doing::Open, dir.to_owned());
            DatabaseError { doing, dir, detail, cause, earlier: None }
        };
        opening::prepare(dir).map_err(|error| failed(error.detail, error.cause))?;
        let config = config(dir, purpose, cache_bytes);
        let opened = guarded(|| {
            let rows = config.open()?;
            let sorted = if purpose == Purpose::Index { None } else { Some(rows.open_tree(SORTED)?) };
            Ok((rows, sorted))
        });
        let (rows, sorted) = opened
            .map_err(|panicked| failed(panicked.detail, panicked.cause))?
            .map_err(|error: sled::Error| failed(error.to_string(), cause(&error)))?;
        let synced = File::open(dir.join(LOG_FILE)).and_then(|file| {
            if purpose != Purpose::Filled {
                // What the opening wrote; the file's own name as well.
                file.sync_data().and_then(|()| sync_dir(dir))?;
            }
            Ok(file)
        });
        let file = synced.map_err(|error| failed(error.to_string(), Cause::Other))?;
        let unsynced = Unsynced::none(rows.context.pagecache.log.stable_offset());
        Ok(Self {
            rows,
            sorted,
            dir: dir.to_owned(),
            purpose,
            file,
            unsynced,
            #[cfg(feature = "testing")]
            largest_batch: 0.into(),
        })
    }

    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, DatabaseError> {
        let value = self.guarded(Doing::Read, || self.rows.get(key))?;
        Ok(value.map(Bytes::from))
    }

    /// Keys with their values, in the order of the keys.
    pub fn range(
        &self,
        keys: impl RangeBounds<Vec<u8>>,
    ) -> impl Iterator<Item = Result<(Bytes, Bytes), DatabaseError>> {
        self.entries(self.rows.range(keys))
    }

    pub fn last(&self, keys: impl RangeBounds<Vec<u8>>) -> Result<Option<(Bytes, Bytes)>, DatabaseError> {
        let last = self.guarded(Doing::Read, || self.rows.range(keys).next_back().transpose())?;
        Ok(last.map(|(key, value)| (key.into(), value.into())))
    }

    /// Writes one value by itself; returns the one before.
    pub fn insert(&self, key: &[u8], value: &[u8]) -> Result<Option<Bytes>, DatabaseError> {
        self.insert_into(&self.rows, key, value)
    }

    /// Applies all writes or none. They are visible at once, and durable after a sync. If it fails, some of them may be visible, and
    /// be there after the next opening.
    pub fn apply(&self, writes: Writes) -> Result<(), DatabaseError> {
        self.unsynced.begin_write();
        self.guarded(Doing::Write, || {
            let mut batch = sled::Batch::default();
            for (key, value) in writes {
                match value {
                    Some(value) => batch.insert(key, value),
                    None => batch.remove(key),
                }
            }
            self.rows.apply_batch(batch)
        })
    }

    pub fn apply_batch(&self, batch: Batch) -> Result<(), DatabaseError> {
        #[cfg(feature = "testing")]
        self.largest_batch.fetch_max(batch.bytes(), std::sync::atomic::Ordering::SeqCst);
        self.apply(batch.writes)
    }

    /// The same, and syncs if that is due ([`Database::sync_if_due`]).
    pub fn apply_and_sync_if_due(&self, batch: Batch) -> Result<(), DatabaseError> {
        let bytes = batch.bytes();
        self.apply_batch(batch)?;
        self.sync_if_due(bytes)
    }

    /// Reads what a batch changes: sled takes a batch key by key, so a page that cannot be read is better met before.
    pub fn read_before(&self, batch: &Batch) -> Result<(), DatabaseError> {
        batch.writes.iter().try_for_each(|(key, _)| self.get(key).map(drop))
    }

    /// Hands everything written to the system.
    pub fn flush(&self) -> Result<(), DatabaseError> {
        self.guarded(Doing::Write, || self.rows.flush()).map(drop)
    }

    /// Returns when everything applied so far survives a power cut.
    /// Errors: [`DatabaseError`]; what was applied is visible all the same.
    pub fn sync(&self) -> Result<(), DatabaseError> {
        self.unsynced.begin_sync();
        self.flush()?;
        let written_to = self.written_to();
        self.file.sync_data().map_err(|error| self.not_synced(&error))?;
        self.unsynced.synced(written_to);
        Ok(())
    }

    /// Syncs behind a batch of so many bytes of what is followed into, if enough is unsynced; nothing of what is filled in.
    /// Errors: [`DatabaseError`]; the batch is visible all the same.
    pub fn sync_if_due(&self, bytes: usize) -> Result<(), DatabaseError> {
        if self.purpose == Purpose::Filled {
            return Ok(());
        }
        if self.unsynced.applied(bytes) {
            self.flush()?;
            self.unsynced.flushed();
        }
        if self.unsynced_bytes() >= FOLLOWED_BYTES_MAX { self.sync() } else { Ok(()) }
    }

    /// Bytes of sled's log that are written and not synced; what it still has in memory is not counted.
    pub fn unsynced_bytes(&self) -> u64 {
        self.unsynced.bytes(self.written_to())
    }

    /// Whether so much of an index lies unsynced, or for so long, that a sync is due.
    pub(crate) fn is_sync_due(&self) -> bool {
        self.unsynced.is_due(self.written_to())
    }

    /// Whether so much of an index lies unsynced that what nobody waits for has to wait for a sync.
    pub(crate) fn is_full_of_unsynced(&self) -> bool {
        self.unsynced_bytes() >= INDEX_BYTES_MAX
    }

    /// Whether a write has met a disk that failed, maybe one of sled's own threads.
    pub(crate) fn has_met_failed_disk(&self) -> bool {
        self.earlier().is_some_and(|error| cause(&error) == Cause::Disk)
    }

    /// sled panics while closing a database whose disk fails; by then nothing is left to lose.
    pub(crate) fn close(self) {
        if guarded(|| drop(self)).is_err() {
            tracing::warn!("the store could not be closed in order");
        }
    }

    /// From now on a sync is always due, and fails.
    #[cfg(feature = "testing")]
    pub fn fail_to_sync(&mut self) -> io::Result<()> {
        let (pipe, _) = io::pipe()?;
        self.file = File::from(std::os::fd::OwnedFd::from(pipe));
        self.unsynced = Unsynced::none(i64::MIN.saturating_add(1 << 40));
        Ok(())
    }

    /// Bytes of the largest batch since the opening.
    #[cfg(feature = "testing")]
    pub fn largest_batch(&self) -> usize {
        self.largest_batch.load(std::sync::atomic::Ordering::SeqCst)
    }

    pub(crate) fn has_sorted(&self) -> bool {
        self.sorted.as_ref().is_some_and(|sorted| !sorted.is_empty())
    }

    pub(crate) fn insert_sorted(&self, key: &[u8], value: &[u8]) -> Result<(), DatabaseError> {
        let Some(sorted) = &self.sorted else {
            let detail = "an index has no rows that are filled in by their order".to_owned();
            return Err(self.failed(Doing::Write, detail, Cause::Bug));
        };
        self.insert_into(sorted, key, value).map(drop)
    }

    pub(crate) fn sorted_from(
        &self,
        key: Vec<u8>,
    ) -> impl Iterator<Item = Result<(Bytes, Bytes), DatabaseError>> {
        self.sorted.iter().flat_map(move |sorted| self.entries(sorted.range(key.clone()..)))
    }

    fn insert_into(
        &self,
        tree: &sled::Tree,
        key: &[u8],
        value: &[u8],
    ) -> Result<Option<Bytes>, DatabaseError> {
        self.unsynced.begin_write();
        let before = self.guarded(Doing::Write, || tree.insert(key, value))?;
        Ok(before.map(Bytes::from))
    }

    fn entries(&self, entries: sled::Iter) -> impl Iterator<Item = Result<(Bytes, Bytes), DatabaseError>> {
        Guarded::of(entries).map(|entry| match entry {
            Ok(Ok((key, value))) => Ok((key.into(), value.into())),
            Ok(Err(error)) => Err(self.error(Doing::Read, &error)),
            Err(panicked) => Err(self.panicked(Doing::Read, panicked)),
        })
    }

    fn written_to(&self) -> i64 {
        self.rows.context.pagecache.log.stable_offset()
    }

    fn guarded<T>(&self, doing: Doing, work: impl FnOnce() -> sled::Result<T>) -> Result<T, DatabaseError> {
        match guarded(work) {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.error(doing, &error)),
            Err(panicked) => Err(self.panicked(doing, panicked)),
        }
    }

    /// The failed write that sled remembers, if there was one.
    fn earlier(&self) -> Option<sled::Error> {
        self.rows.context.global_error().err()
    }

    fn error(&self, doing: Doing, error: &sled::Error) -> DatabaseError {
        let earlier = self.earlier();
        let detail = earlier.as_ref().unwrap_or(error).to_string();
        DatabaseError { earlier: earlier.as_ref().map(cause), ..self.failed(doing, detail, cause(error)) }
    }

    fn panicked(&self, doing: Doing, panicked: Panicked) -> DatabaseError {
        self.failed(doing, panicked.detail, panicked.cause)
    }

    fn not_synced(&self, error: &io::Error) -> DatabaseError {
        self.failed(Doing::Sync, error.to_string(), Cause::of(error))
    }

    fn failed(&self, doing: Doing, detail: String, cause: Cause) -> DatabaseError {
        DatabaseError { doing, dir: self.dir.clone(), detail, cause, earlier: None }
    }
}

fn config(dir: &Path, purpose: Purpose, cache_bytes: u64) -> sled::Config {
    let config = sled::Config::new().path(dir).cache_capacity(cache_bytes).segment_size(SEGMENT_BYTES);
    match purpose {
        // Synced when a group of writes is complete, not by the clock.
        Purpose::Index => config.flush_every_ms(None),
        Purpose::Followed => config.mode(sled::Mode::HighThroughput).flush_every_ms(Some(FLUSH_EVERY_MS)),
        Purpose::Filled => config.mode(sled::Mode::HighThroughput).flush_every_ms(None),
    }
}

/// What sled calls unsupported are files of another sled or of other settings: nobody here has such files.
fn cause(error: &sled::Error) -> Cause {
    match error {
        sled::Error::Corruption { .. } | sled::Error::Unsupported(_) => Cause::Damage,
        sled::Error::Io(error) => Cause::of(error),
        _ => Cause::Bug,
    }
}
