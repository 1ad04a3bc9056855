//! One generation of the read model: rows, layout and checkpoint in one sled tree. The one file that imports sled.
//!
//! Keys: number of the view, 16 bytes of the row's key, and for a part its number (four bytes, big-endian), so that a
//! row and its parts lie together. Number 0 is no view; under it lie the layout and one checkpoint per partition.
//!
//! A finished generation takes rows and checkpoint in one atomic batch. Its last batches may be missing after a power
//! cut, never a part of one: the log gives them again. While it is being built (the file `BUILDING` stands beside the
//! rows) nothing is atomic, because an unfinished generation is never served; rows are then written one by one in
//! ascending order, which sled does twice as fast as batches. `finish` syncs everything before it removes that file.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use event_log::process::{DirectoryLock, LockError};
use uuid::Uuid;

use super::checkpoint::{Checkpoint, SourceCheckpoint, SourceId};
use super::digest::Digest;
use super::layout::Layout;
use super::store::{GenerationError, StoreError};
use super::view::PartStore;
use super::{files, keys};

/// Rows and parts of one atomic batch. sled keeps a whole batch in memory several times over: 10,000 rows took 5.5 GB
/// in a long run, 1,000 took 0.7 GB.
pub const BATCH_ROWS_MAX: usize = 1_000;
/// sled's own cache of pages.
const SLED_CACHE_BYTES: u64 = 64 << 20;
/// How often sled syncs what has been committed while following; what a power cut loses, the log gives again.
const SYNC_EVERY_MS: u64 = 500;

const ROWS_DIRECTORY: &str = "rows";
const BUILDING_FILE: &str = "BUILDING";
const LOCK_FILE: &str = "LOCK";

/// One generation, open. Readers of many threads and one writer share it.
pub struct Generation {
    path: PathBuf,
    rows: sled::Db,
    checkpoint: RwLock<Arc<Checkpoint>>,
    building: bool,
    _lock: DirectoryLock,
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

impl Generation {
    /// Creates an unfinished generation in an empty or new directory; `start` names all partitions to be projected.
    ///
    /// # Errors
    /// [`GenerationError`] if the directory is not empty, in use or cannot be written.
    pub fn create(
        path: &Path,
        layout: &Layout,
        start: &Checkpoint,
        holder: &str,
    ) -> Result<Self, GenerationError> {
        let io_error = |error| store_error(path, "create", error);
        fs::create_dir_all(path).map_err(io_error)?;
        if fs::read_dir(path).map_err(io_error)?.next().is_some() {
            return Err(GenerationError::NotEmpty { path: path.to_owned() });
        }
        let lock = lock(path, holder)?;
        fs::write(path.join(BUILDING_FILE), "").map_err(io_error)?;
        let rows = sled_config(path).flush_every_ms(None).mode(sled::Mode::HighThroughput).open();
        let rows = rows.map_err(|error| store_error(path, "create", error))?;
        let generation = Self {
            path: path.to_owned(),
            rows,
            checkpoint: RwLock::new(Arc::new(start.clone())),
            building: true,
            _lock: lock,
        };
        generation.insert(keys::LAYOUT, layout.to_string().as_bytes())?;
        for (source, at) in start.sources() {
            generation.insert(&keys::source(source), &at.encode())?;
        }
        Ok(generation)
    }

    /// Opens a finished generation.
    ///
    /// # Errors
    /// [`GenerationError`] if it is missing, in use, unfinished, of another layout, or damaged.
    pub fn open(path: &Path, layout: &Layout, holder: &str) -> Result<Self, GenerationError> {
        if !path.join(ROWS_DIRECTORY).is_dir() {
            return Err(GenerationError::Missing { path: path.to_owned() });
        }
        let lock = lock(path, holder)?;
        if is_unfinished(path) {
            return Err(GenerationError::Unfinished { path: path.to_owned() });
        }
        let rows = sled_config(path).flush_every_ms(Some(SYNC_EVERY_MS)).open();
        let rows = rows.map_err(|error| store_error(path, "open", error))?;
        check_layout(path, &rows, layout)?;
        let checkpoint = RwLock::new(Arc::new(read_checkpoint(path, &rows)?));
        Ok(Self { path: path.to_owned(), rows, checkpoint, building: false, _lock: lock })
    }

    /// Makes a generation that has been built durable, and finished.
    ///
    /// # Errors
    /// [`StoreError`]; the generation then stays unfinished.
    pub fn finish(&mut self) -> Result<(), StoreError> {
        self.flush()?;
        // sled 0.34 asks Linux only to begin writing; these calls wait for the disk.
        let synced = files::sync_all_below(&self.path)
            .and_then(|()| files::sync_parent(&self.path))
            .and_then(|()| fs::remove_file(self.path.join(BUILDING_FILE)))
            .and_then(|()| files::sync_parent(&self.path.join(BUILDING_FILE)));
        synced.map_err(|error| self.error("sync", error))?;
        self.building = false;
        Ok(())
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How far it has got. Read it before the rows to know what they hold at least.
    #[must_use]
    pub fn checkpoint(&self) -> Arc<Checkpoint> {
        self.checkpoint.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The bytes of a row.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn row(&self, view: u8, key: Uuid) -> Result<Option<Bytes>, StoreError> {
        self.get(&keys::row(view, key))
    }

    /// The bytes of one part of a row.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn part(&self, view: u8, key: Uuid, number: u32) -> Result<Option<Bytes>, StoreError> {
        self.get(&keys::part(view, key, number))
    }

    /// At most `limit` rows of a view whose keys come after `after`, in the order of their keys.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn scan(
        &self,
        view: u8,
        after: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<(Uuid, Bytes)>, StoreError> {
        let mut found = Vec::new();
        for entry in self.rows.range(keys::scan_range(view, after)) {
            if found.len() == limit {
                break;
            }
            let (key, value) = entry.map_err(|error| self.error("read", error))?;
            if let Some(key) = keys::row_key(&key) {
                found.push((key, Bytes(value)));
            }
        }
        Ok(found)
    }

    /// Begins to write rows and the checkpoint that they belong to.
    pub fn begin(&self) -> Commit<'_> {
        Commit { generation: self, batch: sled::Batch::default() }
    }

    /// Hands everything committed to the operating system.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn flush(&self) -> Result<(), StoreError> {
        self.rows.flush().map(drop).map_err(|error| self.error("write", error))
    }

    /// The digest of all rows, read anew.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn digest(&self) -> Result<Digest, StoreError> {
        let mut digest = Digest::default();
        for entry in self.rows.range(keys::rows_start()..) {
            let (key, value) = entry.map_err(|error| self.error("read", error))?;
            digest.add(&key, &value);
        }
        Ok(digest)
    }

    /// Bytes of all its files.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn bytes_on_disk(&self) -> Result<u64, StoreError> {
        files::bytes_below(&self.path).map_err(|error| self.error("measure", error))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.rows.get(key).map(|value| value.map(Bytes)).map_err(|error| self.error("read", error))
    }

    fn insert(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.rows.insert(key, value).map(drop).map_err(|error| self.error("write", error))
    }

    fn error(&self, action: &'static str, error: impl ToString) -> StoreError {
        store_error(&self.path, action, error)
    }
}

impl PartStore for Generation {
    fn part(&self, view: u8, key: Uuid, number: u32) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(Self::part(self, view, key, number)?.map(|bytes| bytes.to_vec()))
    }
}

/// Rows on their way into a generation; nothing of a finished generation changes before [`Commit::finish`].
pub struct Commit<'g> {
    generation: &'g Generation,
    batch: sled::Batch,
}

impl Commit<'_> {
    /// Writes one row or part; `None` removes it. In ascending order of keys it is fastest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put(
        &mut self,
        view: u8,
        key: Uuid,
        part: Option<u32>,
        value: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        let key = part.map_or_else(|| keys::row(view, key), |number| keys::part(view, key, number));
        match (self.generation.building, value) {
            (true, Some(value)) => self.generation.insert(&key, value)?,
            (true, None) => {
                let removed = self.generation.rows.remove(key);
                removed.map(drop).map_err(|error| self.generation.error("write", error))?;
            }
            (false, Some(value)) => self.batch.insert(key, value),
            (false, None) => self.batch.remove(key),
        }
        Ok(())
    }

    /// Writes everything together with how far it reaches.
    ///
    /// # Errors
    /// [`StoreError`]; a finished generation is then as before.
    pub fn finish(
        mut self,
        reached: impl IntoIterator<Item = (SourceId, SourceCheckpoint)>,
    ) -> Result<Arc<Checkpoint>, StoreError> {
        let mut checkpoint = Checkpoint::clone(&self.generation.checkpoint());
        for (source, at) in reached {
            self.batch.insert(keys::source(&source), at.encode());
            checkpoint.set(source, at);
        }
        let written = self.generation.rows.apply_batch(self.batch);
        written.map_err(|error| self.generation.error("write", error))?;
        let checkpoint = Arc::new(checkpoint);
        *self.generation.checkpoint.write().unwrap_or_else(PoisonError::into_inner) = checkpoint.clone();
        Ok(checkpoint)
    }
}

/// Whether the generation in `path` was begun and never finished.
pub(super) fn is_unfinished(path: &Path) -> bool {
    path.join(BUILDING_FILE).exists()
}

/// Takes the lock of a generation's directory without opening it.
pub(super) fn lock(path: &Path, holder: &str) -> Result<DirectoryLock, GenerationError> {
    DirectoryLock::acquire(path, LOCK_FILE, holder).map_err(|error| match error {
        LockError::InUse { holder, .. } => GenerationError::InUse { path: path.to_owned(), holder },
        LockError::Io { .. } => GenerationError::Store(store_error(path, "lock", error)),
    })
}

fn sled_config(path: &Path) -> sled::Config {
    sled::Config::new().path(path.join(ROWS_DIRECTORY)).cache_capacity(SLED_CACHE_BYTES)
}

fn check_layout(path: &Path, rows: &sled::Db, expected: &Layout) -> Result<(), GenerationError> {
    let found = rows.get(keys::LAYOUT).map_err(|error| store_error(path, "read", error))?;
    let found = found.map_or_else(|| "none".to_owned(), |text| String::from_utf8_lossy(&text).into_owned());
    let expected = expected.to_string();
    if found == expected {
        return Ok(());
    }
    Err(GenerationError::ForeignLayout { path: path.to_owned(), found, expected })
}

fn read_checkpoint(path: &Path, rows: &sled::Db) -> Result<Checkpoint, GenerationError> {
    let mut sources = Vec::new();
    for entry in rows.scan_prefix(keys::SOURCES) {
        let (key, value) = entry.map_err(|error| store_error(path, "read", error))?;
        let decoded = keys::decode_source(&key)
            .and_then(|source| SourceCheckpoint::decode(&value).map(|at| (source, at)))
            .map_err(|source| GenerationError::Checkpoint { path: path.to_owned(), source })?;
        sources.push(decoded);
    }
    Ok(Checkpoint::from_sources(sources))
}

fn store_error(path: &Path, action: &'static str, error: impl ToString) -> StoreError {
    StoreError { action, path: path.to_owned(), detail: error.to_string() }
}
