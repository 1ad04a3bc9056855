//! One generation of the read model: rows, layout, checkpoint and digest in one store.
//!
//! A row is stored under the number of its view and its key; a part under the same and its number, so that a row and its
//! parts lie together. Number 0 is no view; under it lie the layout, the digest of all rows, and one checkpoint per
//! partition.
//!
//! Rows lie in two places. What a replay builds lies in *blocks*, in order, many rows to a stored value, and is never
//! changed. What has changed since lies *loose*, one stored value each, and comes before the block's: its first byte
//! says whether the row is there or was removed. Events that wait ([`super::quarantine`]) lie under number 0, too.
//!
//! A finished generation takes rows, digest and checkpoint in one atomic batch. Its last batches may be missing after a
//! power cut, never a part of one: the log gives them again. While it is being built (the file `BUILDING` stands beside
//! the rows) it is never served. `finish` syncs everything before it removes that file.

mod commit;
mod directory;
mod lookup;
mod meta;
mod parked;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use event_log::process::DirectoryLock;

use super::checkpoint::Checkpoint;
use super::digest::Digest;
use super::keys::RowKey;
use super::layout::Layout;
use super::quarantine::Quarantine;
use super::rows::{Batch, Rows};
use super::store::{GenerationError, StoreError};
use super::{files, keys};

pub use super::rows::Bytes;
pub use commit::{BATCH_ROWS_MAX, Commit};
pub(super) use directory::lock;
use directory::{
    BUILD_DIRECTORY, BUILDING_FILE, LAYOUT_FILE, ROWS_DIRECTORY, has_foreign_files, remove_build,
};
pub use directory::{build_path, bytes_on_disk, is_unfinished, layout_of};
pub use lookup::{StoredRow, StoredRows};

/// One generation, open. Readers of many threads and one writer share it.
pub struct Generation {
    path: PathBuf,
    rows: Rows,
    state: RwLock<Arc<State>>,
    has_blocks: bool,
    _lock: DirectoryLock,
}

/// What changes with a commit, beside the rows.
#[derive(Debug, Clone, Default)]
struct State {
    checkpoint: Arc<Checkpoint>,
    digest: Digest,
    quarantine: Arc<Quarantine>,
}

impl Generation {
    /// Begins an unfinished generation in an empty or new directory, or anew in that of one that was not finished;
    /// `start` names all partitions to be projected.
    ///
    /// # Errors
    /// [`GenerationError`] if something else is in the directory, or it is in use or cannot be written.
    pub fn create(
        path: &Path,
        layout: &Layout,
        start: &Checkpoint,
        holder: &str,
    ) -> Result<Self, GenerationError> {
        let io_error = |error| StoreError::new("create", path, error);
        fs::create_dir_all(path).map_err(io_error)?;
        if !is_unfinished(path) || has_foreign_files(path).map_err(io_error)? {
            return Err(GenerationError::NotEmpty { path: path.to_owned() });
        }
        let lock = lock(path, holder)?;
        fs::write(path.join(BUILDING_FILE), "").map_err(io_error)?;
        fs::write(path.join(LAYOUT_FILE), layout.to_string()).map_err(io_error)?;
        fs::create_dir_all(path.join(BUILD_DIRECTORY)).map_err(io_error)?;
        let rows = path.join(ROWS_DIRECTORY);
        if rows.exists() {
            fs::remove_dir_all(&rows).map_err(io_error)?;
        }
        let rows = Rows::fill(&rows)?;
        rows.put(keys::LAYOUT, layout.to_string().as_bytes())?;
        let generation = Self::with(path, rows, State::default(), lock);
        generation.set_state(start.clone(), Digest::default())?;
        Ok(generation)
    }

    /// Opens an unfinished generation of which rows are durable, to go on building it.
    ///
    /// # Errors
    /// [`GenerationError`] if it is missing, in use, of another layout, or damaged.
    pub fn resume(path: &Path, layout: &Layout, holder: &str) -> Result<Self, GenerationError> {
        Self::open_with(path, layout, holder, Rows::fill, |_| Ok(()))
    }

    /// Opens a finished generation.
    ///
    /// # Errors
    /// [`GenerationError`] if it is missing, in use, unfinished, of another layout, or damaged.
    pub fn open(path: &Path, layout: &Layout, holder: &str) -> Result<Self, GenerationError> {
        Self::open_with(path, layout, holder, Rows::open, |path| match is_unfinished(path) {
            true => Err(GenerationError::Unfinished { path: path.to_owned() }),
            // Left by a process that was killed right after it had finished.
            false => Ok(remove_build(path)?),
        })
    }

    fn open_with(
        path: &Path,
        layout: &Layout,
        holder: &str,
        open: impl FnOnce(&Path) -> Result<Rows, StoreError>,
        check: impl FnOnce(&Path) -> Result<(), GenerationError>,
    ) -> Result<Self, GenerationError> {
        if !path.join(ROWS_DIRECTORY).is_dir() {
            return Err(GenerationError::Missing { path: path.to_owned() });
        }
        // Known while another process has the generation, too.
        if let Some(found) = layout_of(path)
            && found != layout.to_string()
        {
            return Err(meta::foreign_layout(path, found, layout));
        }
        let lock = lock(path, holder)?;
        check(path)?;
        let rows = open(&path.join(ROWS_DIRECTORY))?;
        meta::check_layout(path, &rows, layout)?;
        let checkpoint = Arc::new(meta::checkpoint(path, &rows)?);
        let digest = meta::digest(path, &rows)?;
        let quarantine = Arc::new(parked::read(path, &rows)?);
        Ok(Self::with(path, rows, State { checkpoint, digest, quarantine }, lock))
    }

    fn with(path: &Path, rows: Rows, state: State, lock: DirectoryLock) -> Self {
        let has_blocks = rows.has_blocks();
        Self { path: path.to_owned(), rows, state: RwLock::new(Arc::new(state)), has_blocks, _lock: lock }
    }

    /// Notes that it holds what `checkpoint` says and that its rows have `digest`, and makes all of it durable.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn settle(&mut self, checkpoint: Checkpoint, digest: Digest) -> Result<(), StoreError> {
        self.set_state(checkpoint, digest)?;
        self.has_blocks = self.rows.has_blocks();
        self.sync()
    }

    /// Finishes it: from now on it can be opened to be served.
    ///
    /// # Errors
    /// [`StoreError`]; the generation then stays unfinished.
    pub fn finish(&self) -> Result<(), StoreError> {
        self.sync()?;
        let building = self.path.join(BUILDING_FILE);
        let removed = fs::remove_file(&building).and_then(|()| files::sync_parent(&building));
        removed.map_err(|error| StoreError::new("finish", &self.path, error))?;
        remove_build(&self.path)
    }

    /// Waits until everything written is on the disk.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.flush()?;
        // sled 0.34 asks Linux only to begin writing; these calls wait for the disk.
        files::sync_all_below(&self.path.join(ROWS_DIRECTORY))
            .and_then(|()| files::sync_parent(&self.path.join(ROWS_DIRECTORY)))
            .and_then(|()| files::sync_parent(&self.path))
            .map_err(|error| StoreError::new("sync", &self.path, error))
    }

    fn set_state(&self, checkpoint: Checkpoint, digest: Digest) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        meta::put_digest(&mut batch, digest);
        checkpoint.sources().for_each(|(source, at)| meta::put_source(&mut batch, source, at));
        self.rows.apply(batch)?;
        let quarantine = self.quarantine();
        self.show(State { checkpoint: Arc::new(checkpoint), digest, quarantine });
        Ok(())
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Directory for what a replay needs until the generation is finished.
    #[must_use]
    pub fn build_path(&self) -> PathBuf {
        self.path.join(BUILD_DIRECTORY)
    }

    /// How far it has got. Read it before the rows to know what they hold at least.
    #[must_use]
    pub fn checkpoint(&self) -> Arc<Checkpoint> {
        self.state().checkpoint.clone()
    }

    /// How far it has got, and the digest of all rows as of just then, as kept up to date by every commit.
    #[must_use]
    pub fn checkpoint_and_digest(&self) -> (Arc<Checkpoint>, Digest) {
        let state = self.state();
        (state.checkpoint.clone(), state.digest)
    }

    /// What waits, as of the last commit. Read it with or before the rows.
    #[must_use]
    pub fn quarantine(&self) -> Arc<Quarantine> {
        self.state().quarantine.clone()
    }

    /// How far it has got and what waits, as of one commit.
    #[must_use]
    pub fn checkpoint_and_quarantine(&self) -> (Arc<Checkpoint>, Arc<Quarantine>) {
        let state = self.state();
        (state.checkpoint.clone(), state.quarantine.clone())
    }

    /// The digest of all rows, as kept up to date by every commit.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.state().digest
    }

    /// Hands everything committed to the operating system.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn flush(&self) -> Result<(), StoreError> {
        self.rows.flush()
    }

    /// Writes blocks of rows of a generation that is being built, each with the last key in it, in ascending order.
    pub(super) fn put_blocks(&self, blocks: &[(RowKey, Vec<u8>)]) -> Result<(), StoreError> {
        self.rows.put_blocks(blocks)
    }

    /// Says that the rows behind `before` are about to be written, maybe while others before it are.
    pub(super) fn put_fence(&self, before: &RowKey) -> Result<(), StoreError> {
        self.rows.put_fence(before)
    }

    /// Bytes of all its files.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn bytes_on_disk(&self) -> Result<u64, StoreError> {
        bytes_on_disk(&self.path)
    }

    fn state(&self) -> Arc<State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn show(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
    }
}
