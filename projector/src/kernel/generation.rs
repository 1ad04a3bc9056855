//! One generation of the read model: rows, layout and checkpoint in one store.
//!
//! Keys: number of the view, 16 bytes of the row's key, and for a part its number (four bytes, big-endian), so that a
//! row and its parts lie together. Number 0 is no view; under it lie the layout and one checkpoint per partition.
//!
//! A finished generation takes rows and checkpoint in one atomic batch. Its last batches may be missing after a power
//! cut, never a part of one: the log gives them again. While it is being built (the file `BUILDING` stands beside the
//! rows) nothing is atomic, because an unfinished generation is never served; rows are then written one by one in
//! ascending order. `finish` syncs everything before it removes that file.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use event_log::process::{DirectoryLock, LockError};
use uuid::Uuid;

use super::checkpoint::{Checkpoint, SourceCheckpoint, SourceId};
use super::digest::Digest;
use super::layout::Layout;
use super::rows::{Batch, Rows};
use super::store::{GenerationError, StoreError};
use super::view::PartStore;
use super::{files, keys};

pub use super::rows::Bytes;

/// Rows and parts of one atomic batch. sled keeps a whole batch in memory several times over: 10,000 rows took 5.5 GB
/// in a long run, 1,000 took 0.7 GB.
pub const BATCH_ROWS_MAX: usize = 1_000;

const ROWS_DIRECTORY: &str = "rows";
const BUILDING_FILE: &str = "BUILDING";
const LOCK_FILE: &str = "LOCK";

/// One generation, open. Readers of many threads and one writer share it.
pub struct Generation {
    path: PathBuf,
    rows: Rows,
    checkpoint: RwLock<Arc<Checkpoint>>,
    building: bool,
    _lock: DirectoryLock,
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
        let io_error = |error| StoreError::new("create", path, error);
        fs::create_dir_all(path).map_err(io_error)?;
        if fs::read_dir(path).map_err(io_error)?.next().is_some() {
            return Err(GenerationError::NotEmpty { path: path.to_owned() });
        }
        let lock = lock(path, holder)?;
        fs::write(path.join(BUILDING_FILE), "").map_err(io_error)?;
        let rows = Rows::create(&path.join(ROWS_DIRECTORY))?;
        rows.put(keys::LAYOUT, Some(layout.to_string().as_bytes()))?;
        for (source, at) in start.sources() {
            rows.put(&keys::source(source), Some(&at.encode()))?;
        }
        let checkpoint = RwLock::new(Arc::new(start.clone()));
        Ok(Self { path: path.to_owned(), rows, checkpoint, building: true, _lock: lock })
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
        let rows = Rows::open(&path.join(ROWS_DIRECTORY))?;
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
        synced.map_err(|error| StoreError::new("sync", &self.path, error))?;
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
        self.rows.get(&keys::row(view, key))
    }

    /// The bytes of one part of a row.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn part(&self, view: u8, key: Uuid, number: u32) -> Result<Option<Bytes>, StoreError> {
        self.rows.get(&keys::part(view, key, number))
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
            let (key, value) = entry?;
            if found.len() == limit {
                break;
            }
            if let Some(key) = keys::row_key(&key) {
                found.push((key, value));
            }
        }
        Ok(found)
    }

    /// Begins to write rows and the checkpoint that they belong to.
    pub fn begin(&self) -> Commit<'_> {
        Commit { generation: self, batch: Batch::default() }
    }

    /// Hands everything committed to the operating system.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn flush(&self) -> Result<(), StoreError> {
        self.rows.flush()
    }

    /// The digest of all rows, read anew.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn digest(&self) -> Result<Digest, StoreError> {
        let mut digest = Digest::default();
        for entry in self.rows.range(keys::rows_start()..) {
            let (key, value) = entry?;
            digest.add(&key, &value);
        }
        Ok(digest)
    }

    /// Bytes of all its files.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn bytes_on_disk(&self) -> Result<u64, StoreError> {
        bytes_on_disk(&self.path)
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
    batch: Batch,
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
        if self.generation.building {
            return self.generation.rows.put(&key, value);
        }
        self.batch.put(key, value);
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
            self.batch.put(keys::source(&source), Some(&at.encode()));
            checkpoint.set(source, at);
        }
        self.generation.rows.apply(self.batch)?;
        let checkpoint = Arc::new(checkpoint);
        *self.generation.checkpoint.write().unwrap_or_else(PoisonError::into_inner) = checkpoint.clone();
        Ok(checkpoint)
    }
}

/// Bytes of all files of the generation in `path`, which need not be open.
///
/// # Errors
/// [`StoreError`].
pub fn bytes_on_disk(path: &Path) -> Result<u64, StoreError> {
    files::bytes_below(path).map_err(|error| StoreError::new("measure", path, error))
}

/// Whether the generation in `path` was begun and never finished.
#[must_use]
pub fn is_unfinished(path: &Path) -> bool {
    path.join(BUILDING_FILE).exists()
}

/// Takes the lock of a generation's directory without opening it.
pub(super) fn lock(path: &Path, holder: &str) -> Result<DirectoryLock, GenerationError> {
    DirectoryLock::acquire(path, LOCK_FILE, holder).map_err(|error| match error {
        LockError::InUse { holder, .. } => GenerationError::InUse { path: path.to_owned(), holder },
        LockError::Io { .. } => GenerationError::Store(StoreError::new("lock", path, error)),
    })
}

fn check_layout(path: &Path, rows: &Rows, expected: &Layout) -> Result<(), GenerationError> {
    let found = rows.get(keys::LAYOUT)?;
    let found = found.map_or_else(|| "none".to_owned(), |text| String::from_utf8_lossy(&text).into_owned());
    let expected = expected.to_string();
    if found == expected {
        return Ok(());
    }
    Err(GenerationError::ForeignLayout { path: path.to_owned(), found, expected })
}

fn read_checkpoint(path: &Path, rows: &Rows) -> Result<Checkpoint, GenerationError> {
    let mut sources = Vec::new();
    for entry in rows.range(keys::SOURCES.to_vec()..keys::rows_start()) {
        let (key, value) = entry?;
        let decoded = keys::decode_source(&key)
            .and_then(|source| SourceCheckpoint::decode(&value).map(|at| (source, at)))
            .map_err(|source| GenerationError::Checkpoint { path: path.to_owned(), source })?;
        sources.push(decoded);
    }
    Ok(Checkpoint::from_sources(sources))
}
