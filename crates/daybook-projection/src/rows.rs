//! Ordered maps of bytes on disk: the one file that imports sled.
//!
//! A store has two trees: *loose* entries, which change one by one, and *blocks*, which a replay writes in order and
//! nobody changes.

mod blocks;
mod guarded;

use std::fs::File;
use std::ops::{Deref, Range, RangeBounds};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use daybook_service::prepare_sled_directory;

use super::files;
use super::store::{Failure, StoreError};
use guarded::{Guarded, guarded};

/// sled's own cache of pages.
const SLED_CACHE_BYTES: u64 = 64 << 20;
/// sled's unit of writing and of reclaiming space; a store is at least a few of them large. Blocks are cheaper in larger
/// ones than sled's 512 KiB; in 2 MiB the kernel takes far longer to copy each byte (measured on Linux 6 with ext4: two
/// thirds more processor time for 400 MiB of blocks than in 1 MiB).
const SLED_SEGMENT_BYTES: usize = 1 << 20;
/// With so much of sled's log unsynced it is synced. What is written before the next look comes on top: a batch at most, and
/// what sled still had in memory, which [`BATCH_BYTES_MAX`] and [`UNWRITTEN_BYTES_MAX`] keep so small that all of it stays
/// below a segment.
const UNSYNCED_BYTES_MAX: i64 = SLED_SEGMENT_BYTES as i64 / 4;
/// Keys and values of one batch of a generation that is followed into, or in which events leave the quarantine, in bytes: what sled makes of them, pages that it writes anew and all, has to
/// stay well below a segment, since no sync can come in the middle of a batch. 19 times as much was seen.
pub(super) const BATCH_BYTES_MAX: usize = 32 * 1024;
/// Largest key and value together: 20 of them in one node stay below a quarter of a segment. What is larger sled puts into a
/// file of its own, under `blobs`, which it does not sync; a node holds up to 16 entries, and some more before it splits.
pub(super) const VALUE_BYTES_MAX: usize = SLED_SEGMENT_BYTES / 4 / 20;
/// With so many bytes of batches since sled was last made to write what it has in memory, it is made to do so again: what it
/// has there, up to a segment, is not in what it says to have written.
const UNWRITTEN_BYTES_MAX: usize = BATCH_BYTES_MAX / 8;
/// How often sled syncs what has been written while following; what a power cut loses, the log gives again.
const SYNC_EVERY_MS: u64 = 500;
/// How long sled may take to let go of a store that has been closed.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often that is looked at.
const RELEASE_POLL_INTERVAL: Duration = Duration::from_millis(5);
const BLOCKS: &str = "blocks";
/// sled's files: its settings, its log, and notes of where its pages are, by their place in the log.
const SLED_FILES: [&str; 2] = ["conf", "db"];
const SLED_SNAPSHOT: &str = "snap.";
/// sled's directory of large values.
const SLED_BLOBS: &str = "blobs";

/// An open store.
pub(super) struct Rows {
    loose: sled::Db,
    blocks: sled::Tree,
    path: PathBuf,
    /// While it is followed into.
    durable: Option<Durable>,
    #[cfg(test)]
    largest_batch: AtomicUsize,
}

/// How much of sled's log is on the disk. sled ends its own syncs with `sync_file_range`, which promises nothing, and writes
/// over a segment once the pages that replace it are stable in its own eyes: left alone, a power cut takes rows that were
/// written long before, and some of them without a word. So no more than a segment is ever left unsynced.
struct Durable {
    file: File,
    /// Everything before this log sequence number.
    to: AtomicI64,
    /// Bytes of batches that sled may still have in memory.
    unwritten: AtomicUsize,
}

/// Bytes of a row, without copying them out of the store.
#[derive(Debug, Clone)]
pub struct Bytes {
    stored: sled::IVec,
    range: Range<usize>,
}

impl Bytes {
    /// Those of `range`, which must lie within.
    pub(super) fn slice(&self, range: Range<usize>) -> Self {
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

/// Changes of loose entries that are written whole or not at all.
#[derive(Default)]
pub(super) struct Batch {
    changes: sled::Batch,
    keys: Vec<sled::IVec>,
    /// Of keys and values.
    bytes: usize,
}

impl Batch {
    /// Of keys and values.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) {
        self.bytes += key.len() + value.len();
        let key = sled::IVec::from(key);
        self.keys.push(key.clone());
        self.changes.insert(key, value);
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        self.bytes += key.len();
        let key = sled::IVec::from(key);
        self.keys.push(key.clone());
        self.changes.remove(key);
    }
}

impl Rows {
    /// A store to be filled, new or begun before: nothing is synced before [`Rows::flush`].
    pub(super) fn fill(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, &config(path).flush_every_ms(None))
    }

    /// A store that exists.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let mut rows = Self::open_with(path, &config(path).flush_every_ms(Some(SYNC_EVERY_MS)))?;
        let not_synced = |error| StoreError::of(Failure::Write, "sync", path, error);
        let file = File::open(path.join("db")).map_err(not_synced)?;
        // What the opening has written.
        file.sync_data().map_err(not_synced)?;
        rows.durable = Some(Durable { file, to: rows.written_to().into(), unwritten: 0.into() });
        Ok(rows)
    }

    fn written_to(&self) -> i64 {
        self.loose.context.pagecache.log.stable_offset()
    }

    /// Syncs behind a batch of so many bytes, if enough is unsynced. If that fails, the batch is there all the same.
    pub(super) fn sync_if_due(&self, bytes: usize) -> Result<(), StoreError> {
        let Some(durable) = &self.durable else { return Ok(()) };
        if durable.unwritten.fetch_add(bytes, Ordering::SeqCst) + bytes >= UNWRITTEN_BYTES_MAX {
            self.flush()?;
            durable.unwritten.store(0, Ordering::SeqCst);
        }
        if self.written_to() - durable.to.load(Ordering::SeqCst) < UNSYNCED_BYTES_MAX {
            return Ok(());
        }
        self.flush()?;
        let written_to = self.written_to();
        let synced = durable.file.sync_data();
        synced.map_err(|error| StoreError::of(Failure::Write, "sync", &self.path, error))?;
        durable.to.fetch_max(written_to, Ordering::SeqCst);
        Ok(())
    }

    /// From now on a sync is always due, and fails.
    #[cfg(test)]
    pub(super) fn fail_to_sync(&mut self) {
        let (pipe, _) = std::io::pipe().unwrap();
        let file = File::from(std::os::fd::OwnedFd::from(pipe));
        self.durable =
            Some(Durable { file, to: i64::MIN.saturating_add(1 << 40).into(), unwritten: 0.into() });
    }

    /// Bytes of the largest batch since the opening.
    #[cfg(test)]
    pub(super) fn largest_batch(&self) -> usize {
        self.largest_batch.load(Ordering::SeqCst)
    }

    // sled lets go of its lock a moment after a store was closed; the caller holds the directory, so that moment is all
    // there is to wait for.
    fn open_with(path: &Path, config: &sled::Config) -> Result<Self, StoreError> {
        if let Some(misplaced) = misplaced(path) {
            return Err(StoreError::damaged("open", path, misplaced));
        }
        let deadline = Instant::now() + RELEASE_TIMEOUT;
        let mut was_free = false;
        loop {
            prepare_sled_directory(path).map_err(|error| StoreError::new("open", path, error))?;
            match guarded("open", path, || config.open())? {
                Ok(loose) => {
                    let blocks = guarded("open", path, || loose.open_tree(BLOCKS))?
                        .map_err(|error| failed(Failure::Other, "open", path, error))?;
                    return Ok(Self {
                        loose,
                        blocks,
                        path: path.to_owned(),
                        durable: None,
                        #[cfg(test)]
                        largest_batch: 0.into(),
                    });
                }
                Err(error) => {
                    let is_free = !files::is_locked(&path.join("db"));
                    // Free the first time: it may have been let go of between the attempt and this look.
                    if (is_free && was_free) || Instant::now() >= deadline {
                        return Err(failed(Failure::Other, "open", path, error));
                    }
                    was_free = is_free;
                    thread::sleep(RELEASE_POLL_INTERVAL);
                }
            }
        }
    }

    /// A loose entry.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = guarded("read", &self.path, || self.loose.get(key))?;
        value.map(|value| value.map(Bytes::from)).map_err(|error| self.error("read", error))
    }

    /// Writes one loose entry by itself.
    pub(super) fn put(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.loose.insert(key, value).map(drop).map_err(|error| self.error("write", error))
    }

    /// Reads what a batch changes: sled takes a batch key by key, so a page that cannot be read is better met before.
    pub(super) fn read_before(&self, batch: &Batch) -> Result<(), StoreError> {
        batch.keys.iter().try_for_each(|key| self.get(key).map(drop))
    }

    /// Writes a batch; nothing of it is synced. If that fails, part of it may be seen, and be there after the next opening.
    pub(super) fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        #[cfg(test)]
        self.largest_batch.fetch_max(batch.bytes(), Ordering::SeqCst);
        let applied = guarded("write", &self.path, || self.loose.apply_batch(batch.changes))?;
        applied.map_err(|error| self.error("write", error))
    }

    /// Writes a batch that nobody looks at before another one names what is in it.
    pub(super) fn apply_unseen(&self, batch: Batch) -> Result<(), StoreError> {
        let bytes = batch.bytes();
        self.apply(batch)?;
        self.sync_if_due(bytes)
    }

    /// Loose entries in the order of their keys.
    pub(super) fn range(
        &self,
        keys: impl RangeBounds<Vec<u8>>,
    ) -> impl Iterator<Item = Result<(Bytes, Bytes), StoreError>> {
        Guarded::of(self.loose.range(keys), &self.path).map(|entry| self.entry(entry?))
    }

    /// Hands everything written to the operating system.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        let flushed = guarded("write", &self.path, || self.loose.flush())?;
        flushed.map(drop).map_err(|error| self.error("write", error))
    }

    fn entry(&self, entry: sled::Result<(sled::IVec, sled::IVec)>) -> Result<(Bytes, Bytes), StoreError> {
        entry
            .map(|(key, value)| (Bytes::from(key), Bytes::from(value)))
            .map_err(|error| self.error("read", error))
    }

    /// A write that failed in one of sled's own threads is told to whoever comes next, and be it to read.
    fn error(&self, action: &'static str, error: sled::Error) -> StoreError {
        match self.loose.context.global_error() {
            Err(write) => failed(Failure::Write, action, &self.path, write),
            Ok(()) => failed(Failure::Other, action, &self.path, error),
        }
    }
}

/// What sled would say no more of than what the system said.
fn misplaced(path: &Path) -> Option<String> {
    let is_sleds = |name: &str| SLED_FILES.contains(&name) || name.starts_with(SLED_SNAPSHOT);
    files::misplaced(path, is_sleds).or_else(|| files::misplaced_directory(&path.join(SLED_BLOBS)))
}

fn failed(failure: Failure, action: &'static str, path: &Path, error: sled::Error) -> StoreError {
    // What sled calls unsupported are files of another sled or of other settings: nothing of this layout has such files.
    let failure = match error {
        sled::Error::Corruption { .. } | sled::Error::Unsupported(_) => Failure::Damage,
        _ => failure,
    };
    StoreError::of(failure, action, path, error)
}

fn config(path: &Path) -> sled::Config {
    sled::Config::new()
        .path(path)
        .cache_capacity(SLED_CACHE_BYTES)
        .segment_size(SLED_SEGMENT_BYTES)
        .mode(sled::Mode::HighThroughput)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// In the child.
    const ROWS: &str = "DAYBOOK_TEST_ROWS";
    /// Far longer than an opening takes.
    const DEADLINE: Duration = Duration::from_secs(60);

    /// In a process of its own, whose threads would need more memory than there is: sled keeps the ones of its first opening.
    #[test]
    fn an_opening_for_which_the_system_gives_no_thread_fails_and_may_pass() {
        let directory = tempfile::tempdir().unwrap();
        let this = "rows::tests::child_that_opens_without_a_thread";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([this, "--exact", "--ignored", "--test-threads=1"])
            .env(ROWS, directory.path().join("rows"))
            .env("RUST_MIN_STACK", (1_usize << 60).to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        let ended = loop {
            if let Some(ended) = child.try_wait().unwrap() {
                break ended;
            }
            if began.elapsed() > DEADLINE {
                child.kill().unwrap();
            }
            thread::sleep(RELEASE_POLL_INTERVAL);
        };
        assert!(ended.success(), "{ended}");
    }

    #[test]
    #[ignore = "done by the test before it, in a process of its own"]
    fn child_that_opens_without_a_thread() {
        let Some(path) = std::env::var_os(ROWS) else { return };
        let error = Rows::fill(Path::new(&path)).err().unwrap();
        assert_eq!(error.failure, Failure::Other);
        assert!(error.to_string().contains("gives no thread for the store"), "{error}");
    }
}
