//! A database of sled that is open: how it is opened, read, written, synced and closed. The one file that knows sled.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use daybook_digest::{BYTES, Digest};
use daybook_service::prepare_sled_directory;

use super::added_up::{self, Sum, add_up, change};
use super::damage::{is_damage, is_eio};
use super::unsynced::Unsynced;
use super::{Noted, SEGMENT_BYTES, StoreError, Unreadable, Writes, check_size, sync_dir};
use crate::keys::Span;

/// What is said of a panic: sled has them where it meets damage, and where a write of its own threads fails.
const PANICKED: &str = "sled met damage that it does not expect";
/// How long sled may keep its lock after a database was closed; then opening it fails with sled's words.
const UNLOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two looks at the lock.
const UNLOCK_POLL: Duration = Duration::from_millis(10);

/// The system's error, if it is one; else sled has met bytes that are not what it wrote.
fn io_error(error: &sled::Error) -> Option<&io::Error> {
    if let sled::Error::Io(error) = error { Some(error) } else { None }
}

/// A stored value.
#[derive(Debug)]
pub(crate) struct Value(sled::IVec);

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// A database that is open.
#[derive(Debug)]
pub(super) struct Database {
    db: sled::Db,
    file: File,
    unsynced: Unsynced,
    /// The digest of all rows, if one is kept. Held while one is written.
    digest: Option<Mutex<Digest>>,
    /// A write or a sync has failed: nothing more is written.
    failed: AtomicBool,
    /// It failed with an input or output error: what was written before may not be on the disk, and no sync says so again.
    distrusted: AtomicBool,
}

impl Database {
    /// Opens the database in `dir`, or makes one; its rows add up to their digest. `tell` hears how many were added up so far.
    pub(super) fn open(
        dir: &Path,
        cache_bytes: u64,
        checks: (Noted, Unreadable),
        tell: &(dyn Fn(u64) + Sync),
    ) -> Result<Self, StoreError> {
        let mut opened = Self::open_as_it_is(dir, cache_bytes)?;
        match opened.checked_digest(checks, tell) {
            Ok(digest) => opened.digest = Some(Mutex::new(digest)),
            Err(error) => {
                Self::close(Some(opened));
                return Err(error.of_opening(dir));
            }
        }
        Ok(opened)
    }

    /// The digest of all rows, if that is what the last write left.
    fn checked_digest(
        &self,
        (must_be, unreadable): (Noted, Unreadable),
        tell: &(dyn Fn(u64) + Sync),
    ) -> Result<Digest, StoreError> {
        let began = Instant::now();
        let sum = self.read(|db| add_up(|first| db.scan_prefix([first]), tell));
        let noted = self.get(added_up::KEY)?.filter(|_| must_be != Noted::Ignored);
        let noted = noted.map(|noted| <[u8; BYTES]>::try_from(&*noted).map_err(|_| StoreError::NotAsWritten));
        match (sum, noted.transpose()?.map(|noted| Digest::from_bytes(&noted))) {
            (Ok(sum), Some(noted)) if sum.digest != noted => Err(StoreError::NotAsWritten),
            (Ok(sum), None) if must_be == Noted::MustBe && sum.rows > 0 => Err(StoreError::NoDigest),
            (Ok(Sum { digest, rows }), _) => {
                tracing::debug!(rows, took = ?began.elapsed(), "the rows of the store add up");
                Ok(digest)
            }
            (Err(error), Some(noted)) if error.is_damage() && unreadable == Unreadable::IsLeft => {
                tracing::error!(
                    %error,
                    "a page of the store cannot be read: whoever needs it is refused, and whether other rows are gone cannot be told; the \
                     store is built again once a start meets it while the whole log can be read"
                );
                Ok(noted)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Opens the database in `dir` whatever its rows add up to, and keeps no digest of them.
    pub(super) fn open_as_it_is(dir: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let failed = |detail: String, is_damage| StoreError::Open { dir: dir.to_owned(), detail, is_damage };
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(cache_bytes)
            .segment_size(SEGMENT_BYTES)
            // We sync when a group of commands is complete, not by the clock.
            .flush_every_ms(None);
        wait_unlocked(&dir.join("db"));
        prepare_sled_directory(dir).map_err(|error| failed(error.to_string(), false))?;
        // sled panics where it meets damage that it does not expect.
        let opened = catch_unwind(AssertUnwindSafe(|| config.open()));
        let opened = opened.map_err(|_| failed(PANICKED.to_owned(), true))?;
        let db = opened.map_err(|error| failed(error.to_string(), is_damage(io_error(&error))))?;
        let file = File::open(dir.join("db")).map_err(|error| failed(error.to_string(), false))?;
        // What the opening wrote; the file's own name as well.
        file.sync_data().and_then(|()| sync_dir(dir)).map_err(|error| failed(error.to_string(), false))?;
        let unsynced = Unsynced::none(db.context.pagecache.log.stable_offset());
        let (failed, distrusted) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { db, file, unsynced, digest: None, failed, distrusted })
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        self.read(|db| Ok(db.get(key)?.map(Value)))
    }

    pub(super) fn scan(&self, span: &Span, count_max: usize) -> Result<Vec<(Value, Value)>, StoreError> {
        self.read(|db| {
            let entries = db.range(&span.0[..]..&span.1[..]).take(count_max);
            entries.map(|entry| entry.map(|(key, value)| (Value(key), Value(value)))).collect()
        })
    }

    pub(super) fn last(&self, span: &Span) -> Result<Option<(Value, Value)>, StoreError> {
        self.read(|db| {
            let last = db.range(&span.0[..]..&span.1[..]).next_back();
            last.map(|entry| entry.map(|(key, value)| (Value(key), Value(value)))).transpose()
        })
    }

    /// sled panics where it meets damage that it does not expect.
    fn read<T>(&self, read: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, StoreError> {
        let failed = |detail, is_damage| StoreError::Database { doing: "read", detail, is_damage };
        match catch_unwind(AssertUnwindSafe(|| read(&self.db))) {
            Ok(read) => read.map_err(|error| failed(error.to_string(), is_damage(io_error(&error)))),
            Err(_) => Err(failed(PANICKED.to_owned(), true)),
        }
    }

    /// Applies all writes or none, with the digest of what is there then. Of several with one key the last counts.
    pub(super) fn apply(&self, writes: Writes) -> Result<(), StoreError> {
        let writes: HashMap<_, _> = writes.into_iter().collect();
        let mut digest = self.digest();
        let mut after = digest.as_deref().copied();
        self.write(|db| {
            let mut batch = sled::Batch::default();
            for (key, value) in writes {
                if let Some(after) = &mut after {
                    change(after, &key, db.get(&key)?.as_deref(), value.as_deref());
                }
                match value {
                    Some(value) => batch.insert(key, value),
                    None => batch.remove(key),
                }
            }
            if let Some(after) = after {
                batch.insert(added_up::KEY, &after.to_bytes());
            }
            db.apply_batch(batch)
        })?;
        if let (Some(digest), Some(after)) = (&mut digest, after) {
            **digest = after;
        }
        Ok(())
    }

    /// Writes entries one by one, and then the digest.
    pub(super) fn fill<B: AsRef<[u8]>>(
        &self,
        entries: impl IntoIterator<Item = (B, B)>,
    ) -> Result<(), StoreError> {
        let mut digest = self.digest();
        for (key, value) in entries {
            let (key, value) = (key.as_ref(), value.as_ref());
            check_size(key, value)?;
            let before = self.write(|db| db.insert(key, value))?;
            if let Some(digest) = &mut digest {
                change(digest, key, before.as_deref(), Some(value));
            }
        }
        let Some(digest) = digest else { return Ok(()) };
        self.write(|db| db.insert(added_up::KEY, &digest.to_bytes())).map(drop)
    }

    fn digest(&self) -> Option<MutexGuard<'_, Digest>> {
        Some(self.digest.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Bytes of sled's log that are written and not synced; what it still has in memory is not counted.
    pub(super) fn unsynced_bytes(&self) -> u64 {
        self.unsynced.bytes(self.written_to())
    }

    /// Whether so much lies unsynced, or for so long, that a sync is due.
    pub(super) fn is_sync_due(&self) -> bool {
        self.unsynced.is_due(self.written_to())
    }

    /// Whether what it wrote may not be on the disk. What a write of sled's own threads met, sled tells whoever comes next.
    pub(super) fn is_distrusted(&self) -> bool {
        let met = || self.db.context.global_error().is_err_and(|error| is_eio(io_error(&error)));
        self.distrusted.load(Ordering::SeqCst) || met()
    }

    /// How far sled has written its log, as a log sequence number.
    fn written_to(&self) -> i64 {
        self.db.context.pagecache.log.stable_offset()
    }

    fn write<T>(&self, work: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, StoreError> {
        self.unsynced.begin_write();
        self.attempt(work)
    }

    /// sled panics where it meets damage that it does not expect.
    fn attempt<T>(&self, work: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, StoreError> {
        if self.failed.load(Ordering::SeqCst) {
            return Err(StoreError::Failed);
        }
        let written = catch_unwind(AssertUnwindSafe(|| work(&self.db)));
        let (is_damage, detail) = match written {
            Ok(Ok(written)) => return Ok(written),
            Ok(Err(error)) => {
                self.distrusted.fetch_or(is_eio(io_error(&error)), Ordering::SeqCst);
                (is_damage(io_error(&error)), error.to_string())
            }
            Err(_) => (true, PANICKED.to_owned()),
        };
        self.failed.store(true, Ordering::SeqCst);
        Err(StoreError::Database { doing: "write", detail, is_damage })
    }

    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.unsynced.begin_sync();
        self.attempt(|db| db.flush())?;
        let written_to = self.written_to();
        self.file.sync_data().map_err(|error| {
            self.failed.store(true, Ordering::SeqCst);
            self.distrusted.store(true, Ordering::SeqCst);
            StoreError::Sync(error)
        })?;
        self.unsynced.synced(written_to);
        Ok(())
    }

    /// sled panics while closing a database whose disk fails; by then nothing is left to lose.
    pub(super) fn close(opened: Option<Self>) {
        if catch_unwind(AssertUnwindSafe(|| drop(opened))).is_err() {
            tracing::warn!("the store could not be closed in order");
        }
    }
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
