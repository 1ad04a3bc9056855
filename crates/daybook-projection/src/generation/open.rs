//! How a generation is begun, resumed and opened, and how one that was built becomes one that can be served.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use daybook_store::{Database, Digest, DirectoryLock, Purpose, files};

use crate::checkpoint::{Checkpoint, SourceCheckpoint};
use crate::codec::{self, RowError};
use crate::generation::directory::{
    BUILD_DIRECTORY, BUILDING_FILE, LAYOUT_FILE, ROWS_DIRECTORY, check_files, check_not_torn, forget_notes,
    has_foreign_files, is_unfinished, layout_of, lock, note_torn, remove_build,
};
use crate::generation::{Generation, Moment, finished, parked};
use crate::keys;
use crate::projection::Layout;
use crate::store::{GenerationError, StoreError};

/// sled's own cache of pages.
pub(super) const CACHE_BYTES: u64 = 64 << 20;

impl Generation {
    /// Begins an unfinished generation in an empty or new directory, or again in that of one that was not finished;
    /// `start` names all partitions to be projected.
    /// Errors: [`GenerationError`] if something else is in the directory, or it is in use or cannot be written.
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
        files::write(&path.join(LAYOUT_FILE), layout.to_string()).map_err(io_error)?;
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

    /// Opens an unfinished generation of which rows are durable, to resume building it.
    /// Errors: [`GenerationError`] if it is missing, in use, of another layout, or damaged.
    pub fn resume(path: &Path, layout: &Layout, holder: &str) -> Result<Self, GenerationError> {
        Self::open_with(path, layout, holder, Purpose::Filled, |_| Ok(()))
    }

    /// Opens a finished generation.
    /// Errors: [`GenerationError`] if it is missing, in use, unfinished, of another layout, or damaged.
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
            return Err(foreign_layout(path, found, layout));
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
        check_layout(path, &rows, layout)?;
        let checkpoint = Arc::new(read_checkpoint(path, &rows)?);
        let digest = read_digest(path, &rows)?;
        let mut quarantine = parked::read(path, &rows)?;
        finished::take_up(path, &mut quarantine);
        let quarantine = Arc::new(quarantine);
        Ok(Self::with(path, rows, Moment { checkpoint, digest, quarantine }, lock))
    }
}

impl Generation {
    /// Notes that it holds what `checkpoint` says and that its rows have `digest`, and makes all of it durable.
    pub fn settle(&mut self, checkpoint: Checkpoint, digest: Digest) -> Result<(), StoreError> {
        self.set_state(checkpoint, digest)?;
        self.has_blocks = self.rows.has_sorted_values();
        self.sync()
    }

    /// Closes it and opens it again, to see that what was built is what is there; notes what that is. `accepted` says why it is
    /// published although it says something else than the one before; with `recount` all rows are read, because they were not
    /// all written by this process.
    /// Errors: [`GenerationError`]; the generation then stays unfinished, and the next attempt builds it again if it is damaged.
    pub fn proved(
        self,
        layout: &Layout,
        accepted: Option<&str>,
        recount: bool,
    ) -> Result<Self, GenerationError> {
        let path = self.path.clone();
        self.reopened(layout, accepted, recount).inspect_err(|error| match error {
            GenerationError::Store(error) if error.is_damage() => note_torn(&path, error),
            _ => {}
        })
    }

    fn reopened(
        self,
        layout: &Layout,
        accepted: Option<&str>,
        recount: bool,
    ) -> Result<Self, GenerationError> {
        self.sync()?;
        self.note_finished(accepted)?;
        let skipped = self.quarantine().skipped().to_vec();
        let Self { path, rows, lock, .. } = self;
        drop(rows);
        let proved = Self::read(
            &path,
            Database::open(&path.join(ROWS_DIRECTORY), Purpose::Followed, CACHE_BYTES)?,
            layout,
            lock,
        )?;
        finished::check(&path, &proved.last_moment())?;
        if recount && proved.recount_digest()? != proved.digest() {
            return Err(StoreError::damaged("open", &path, "its rows are not what was written").into());
        }
        proved.set_skipped(skipped)?;
        Ok(proved)
    }

    /// Notes that what was written is not what is there: it is built again, and never opened or resumed.
    pub(crate) fn note_damaged(&self, error: &StoreError) {
        note_torn(&self.path, error);
    }

    /// Finishes it: from now on it can be opened to be served.
    /// Errors: [`StoreError`]; the generation then stays unfinished.
    pub fn finish(&self) -> Result<(), StoreError> {
        self.sync()?;
        if !finished::is_noted(&self.path) {
            self.note_finished(None)?;
        }
        let building = self.path.join(BUILDING_FILE);
        let removed = fs::remove_file(&building).and_then(|()| files::sync_parent(&building));
        removed.map_err(|error| {
            // Else it would count as finished, and never be published.
            if let Err(failed) = files::write(&building, "") {
                tracing::error!(%failed, "{} may count as finished; remove it", self.path.display());
            }
            StoreError::new("finish", &self.path, error)
        })?;
        remove_build(&self.path);
        Ok(())
    }

    /// Waits until everything written is on the disk.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.flush()?;
        // sled 0.34 asks Linux only to begin writing; these calls wait for the disk.
        files::sync_all_below(&self.path.join(ROWS_DIRECTORY))
            .and_then(|()| files::sync_parent(&self.path.join(ROWS_DIRECTORY)))
            .and_then(|()| files::sync_parent(&self.path))
            .map_err(|error| StoreError::new("sync", &self.path, error))
    }
}

pub(super) fn check_layout(path: &Path, rows: &Database, layout: &Layout) -> Result<(), GenerationError> {
    let Some(found) = rows.get(keys::LAYOUT)? else {
        return Err(StoreError::damaged("open", path, "its rows do not say their layout").into());
    };
    match String::from_utf8_lossy(&found) {
        found if found == layout.to_string() => Ok(()),
        found => Err(foreign_layout(path, found.into_owned(), layout)),
    }
}

pub(super) fn foreign_layout(path: &Path, found: String, layout: &Layout) -> GenerationError {
    GenerationError::ForeignLayout { path: path.to_owned(), found, expected: layout.to_string() }
}

fn read_checkpoint(path: &Path, rows: &Database) -> Result<Checkpoint, StoreError> {
    let mut sources = Vec::new();
    for entry in rows.range(keys::SOURCES.to_vec()..keys::scan_start(1, None)) {
        let (key, value) = entry?;
        let decoded = keys::decode_source(&key)
            .and_then(|source| codec::read(&value).map(|at: SourceCheckpoint| (source, at)))
            .map_err(damaged(path))?;
        sources.push(decoded);
    }
    Ok(Checkpoint::from_sources(sources))
}

fn read_digest(path: &Path, rows: &Database) -> Result<Digest, StoreError> {
    let bytes = rows.get(keys::DIGEST)?;
    let bytes = bytes.as_deref().and_then(|bytes| <&[u8; 32]>::try_from(bytes).ok());
    bytes.map(Digest::from_bytes).ok_or_else(|| damaged(path)(RowError::CutOff { field: "digest" }))
}

fn damaged(path: &Path) -> impl FnOnce(RowError) -> StoreError {
    move |error| StoreError::damaged("open", path, format!("its checkpoint cannot be read: {error}"))
}
