//! A database of sled that is open: how it is opened, written, synced and closed.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use daybook_digest::Digest;
use event_log::process::prepare_sled_directory;

use super::added_up::{self, add_up, change};
use super::damage::{is_damage, is_eio};
use super::unsynced::Unsynced;
use super::{SEGMENT_BYTES, StoreError, Writes, check_size, sync_dir};

/// What is said of a panic: sled has them where it meets damage, and where a write of its own threads fails.
pub(super) const PANICKED: &str = "sled met damage that it does not expect";
/// What is said of rows that are not of one time.
const NOT_AS_WRITTEN: &str = "some of its rows are older than others, or gone: they do not add up to the digest that was written \
                              with the newest of them";

/// How long sled may keep its lock after a database was closed; then opening it fails with sled's words.
const UNLOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two looks at the lock.
const UNLOCK_POLL: Duration = Duration::from_millis(10);

/// The system's error, if it is one; else sled has met bytes that are not what it wrote.
pub(super) fn io_error(error: &sled::Error) -> Option<&io::Error> {
    if let sled::Error::Io(error) = error { Some(error) } else { None }
}

#[derive(Debug)]
pub(super) struct Opened {
    pub(super) db: sled::Db,
    file: File,
    pub(super) unsynced: Unsynced,
    /// The digest of all rows. Held while one is written.
    digest: Mutex<Digest>,
    /// A write or a sync has failed: nothing more is written.
    failed: AtomicBool,
    /// It failed with an input or output error: what was written before may not be on the disk, and no sync says so again.
    pub(super) distrusted: AtomicBool,
}

impl Opened {
    /// Opens the database in `dir`, or makes one; its rows add up to their digest.
    pub(super) fn new(dir: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let opened = Self::unchecked(dir, cache_bytes)?;
        let failed = |detail: String, is_damage| StoreError::Open { dir: dir.to_owned(), detail, is_damage };
        let of_sled = |error: sled::Error| failed(error.to_string(), is_damage(io_error(&error)));
        let began = Instant::now();
        let added =
            catch_unwind(AssertUnwindSafe(|| Ok((add_up(&opened.db)?, opened.db.get(added_up::KEY)?))));
        let (sum, noted) = added.map_err(|_| failed(PANICKED.to_owned(), true))?.map_err(of_sled)?;
        // A version before this one has noted none; the first write does.
        if noted.is_some_and(|noted| *noted != sum.digest.to_bytes()) {
            close(Some(opened));
            return Err(failed(NOT_AS_WRITTEN.to_owned(), true));
        }
        tracing::debug!(dir = %dir.display(), rows = sum.rows, took = ?began.elapsed(), "the rows add up");
        *opened.digest() = sum.digest;
        Ok(opened)
    }

    /// Opens the database in `dir` whatever its rows add up to: nothing may be written.
    pub(super) fn unchecked(dir: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
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
        Ok(Self { db, file, unsynced, digest: Mutex::default(), failed, distrusted })
    }

    /// Applies all writes or none, with the digest of what is there then. Of several with one key the last counts.
    pub(super) fn apply(&self, writes: Writes) -> Result<(), StoreError> {
        let writes: HashMap<_, _> = writes.into_iter().collect();
        let mut digest = self.digest();
        let mut after = *digest;
        self.write(|db| {
            let mut batch = sled::Batch::default();
            for (key, value) in writes {
                change(&mut after, &key, db.get(&key)?.as_deref(), value.as_deref());
                match value {
                    Some(value) => batch.insert(key, value),
                    None => batch.remove(key),
                }
            }
            batch.insert(added_up::KEY, &after.to_bytes());
            db.apply_batch(batch)
        })?;
        *digest = after;
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
            change(&mut digest, key, before.as_deref(), Some(value));
        }
        self.write(|db| db.insert(added_up::KEY, &digest.to_bytes())).map(drop)
    }

    fn digest(&self) -> MutexGuard<'_, Digest> {
        self.digest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far sled has written its log, as a log sequence number.
    pub(super) fn written_to(&self) -> i64 {
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
pub(super) fn close(opened: Option<Opened>) {
    if catch_unwind(AssertUnwindSafe(|| drop(opened))).is_err() {
        tracing::warn!("the store could not be closed in order");
    }
}
