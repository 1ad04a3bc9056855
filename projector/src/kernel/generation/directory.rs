//! The directory of a generation, as far as it can be judged without opening the rows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use event_log::process::{DirectoryLock, LockError};

use crate::kernel::files;
use crate::kernel::store::{GenerationError, StoreError};

pub(super) const ROWS_DIRECTORY: &str = "rows";
pub(super) const BUILDING_FILE: &str = "BUILDING";
/// What a replay needs beside the rows until they are finished.
pub(super) const BUILD_DIRECTORY: &str = "build";
/// The layout, for those who cannot open the rows.
pub(super) const LAYOUT_FILE: &str = "LAYOUT";
pub(super) const LOCK_FILE: &str = "LOCK";

/// Bytes of all files of the generation in `path`, which need not be open.
///
/// # Errors
/// [`StoreError`].
pub fn bytes_on_disk(path: &Path) -> Result<u64, StoreError> {
    files::bytes_below(path).map_err(|error| StoreError::new("measure", path, error))
}

/// Whether the generation in `path` was begun, if only by name, and never finished.
#[must_use]
pub fn is_unfinished(path: &Path) -> bool {
    path.join(BUILDING_FILE).exists() || !path.join(ROWS_DIRECTORY).exists()
}

/// Layout of the generation in `path`, as text, which need not be open; `None` if it does not say.
#[must_use]
pub fn layout_of(path: &Path) -> Option<String> {
    fs::read_to_string(path.join(LAYOUT_FILE)).ok().filter(|layout| !layout.is_empty())
}

/// Directory for what the replay of the generation in `path` needs until it is finished.
#[must_use]
pub fn build_path(path: &Path) -> PathBuf {
    path.join(BUILD_DIRECTORY)
}

/// Removes what a replay needed.
pub(super) fn remove_build(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(build_path(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::new("tidy", path, error)),
        _ => Ok(()),
    }
}

/// Whether something else lies there.
pub(super) fn has_foreign_files(path: &Path) -> io::Result<bool> {
    let ours = [LOCK_FILE, LAYOUT_FILE, BUILDING_FILE, BUILD_DIRECTORY, ROWS_DIRECTORY];
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if !ours.iter().any(|known| name == *known) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Takes the lock of a generation's directory without opening it.
pub(in crate::kernel) fn lock(path: &Path, holder: &str) -> Result<DirectoryLock, GenerationError> {
    DirectoryLock::acquire(path, LOCK_FILE, holder).map_err(|error| match error {
        LockError::InUse { holder, .. } => GenerationError::InUse { path: path.to_owned(), holder },
        LockError::Io { .. } => GenerationError::Store(StoreError::new("lock", path, error)),
    })
}
