//! How a generation is begun, gone on with, and opened.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use daybook_store::{Database, Digest, DirectoryLock, Purpose, files};

use super::directory::{
    BUILD_DIRECTORY, BUILDING_FILE, LAYOUT_FILE, ROWS_DIRECTORY, check_files, check_not_torn, forget_notes,
    has_foreign_files, is_unfinished, layout_of, lock, remove_build,
};
use super::{Generation, Moment, finished, meta, notes, parked};
use crate::checkpoint::Checkpoint;
use crate::keys;
use crate::layout::Layout;
use crate::store::{GenerationError, StoreError};

/// sled's own cache of pages.
pub(super) const CACHE_BYTES: u64 = 64 << 20;

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
        // Before anything that the build's journal could count on.
        files::write(&path.join(BUILDING_FILE), "").map_err(io_error)?;
        files::write(&path.join(LAYOUT_FILE), &layout.to_string()).map_err(io_error)?;
        fs::create_dir_all(path.join(BUILD_DIRECTORY)).map_err(io_error)?;
        let rows = path.join(ROWS_DIRECTORY);
        if rows.exists() {
            fs::remove_dir_all(&rows).map_err(io_error)?;
        }
        forget_notes(path)?;
        let rows = Database::open(&rows, Purpose::Filled, CACHE_BYTES)?;
        rows.insert(keys::LAYOUT, layout.to_string().as_bytes())?;
        let generation = Self::with(path, rows, Moment::default(), lock);
        generation.set_state(start.clone(), Digest::default())?;
        Ok(generation)
    }

    /// Opens an unfinished generation of which rows are durable, to go on building it.
    ///
    /// # Errors
    /// [`GenerationError`] if it is missing, in use, of another layout, or damaged.
    pub fn resume(path: &Path, layout: &Layout, holder: &str) -> Result<Self, GenerationError> {
        Self::open_with(path, layout, holder, Purpose::Filled, |_| Ok(()))
    }

    /// Opens a finished generation.
    ///
    /// # Errors
    /// [`GenerationError`] if it is missing, in use, unfinished, of another layout, or damaged.
    pub fn open(path: &Path, layout: &Layout, holder: &str) -> Result<Self, GenerationError> {
        Self::open_with(path, layout, holder, Purpose::Followed, |path| match is_unfinished(path) {
            true => Err(GenerationError::Unfinished { path: path.to_owned() }),
            // Left by a process that was killed right after it had finished.
            false => {
                remove_build(path);
                Ok(())
            }
        })
    }

    fn open_with(
        path: &Path,
        layout: &Layout,
        holder: &str,
        purpose: Purpose,
        check: impl FnOnce(&Path) -> Result<(), GenerationError>,
    ) -> Result<Self, GenerationError> {
        match fs::metadata(path.join(ROWS_DIRECTORY)) {
            Ok(rows) if rows.is_dir() => {}
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Err(StoreError::new("open", path, error).into());
            }
            _ => return Err(GenerationError::Missing { path: path.to_owned() }),
        }
        // Known while another process has the generation, too.
        if let Some(found) = layout_of(path)
            && found != layout.to_string()
        {
            return Err(meta::foreign_layout(path, found, layout));
        }
        let lock = lock(path, holder)?;
        check_files(path)?;
        check(path)?;
        check_not_torn(path)?;
        let rows = Database::open(&path.join(ROWS_DIRECTORY), purpose, CACHE_BYTES)?;
        let generation = Self::read(path, rows, layout, lock)?;
        // One that is being built may have been noted, and not finished any more.
        if finished::is_noted(path) || !is_unfinished(path) {
            finished::check(path, &generation.last_moment())?;
        }
        Ok(generation)
    }

    /// What the store says of itself.
    pub(super) fn read(
        path: &Path,
        rows: Database,
        layout: &Layout,
        lock: DirectoryLock,
    ) -> Result<Self, GenerationError> {
        meta::check_layout(path, &rows, layout)?;
        let checkpoint = Arc::new(meta::checkpoint(path, &rows)?);
        let digest = meta::digest(path, &rows)?;
        let mut quarantine = parked::read(path, &rows)?;
        notes::take_up(path, &mut quarantine);
        let quarantine = Arc::new(quarantine);
        Ok(Self::with(path, rows, Moment { checkpoint, digest, quarantine }, lock))
    }
}
