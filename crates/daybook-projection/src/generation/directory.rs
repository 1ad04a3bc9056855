//! The directory of a generation, as far as it can be judged without opening the rows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use daybook_store::{DirectoryLock, LockError, files};

use super::finished::FINISHED_FILE;
use super::finished::SKIPPED_FILE;
use crate::store::{Failure, GenerationError, StoreError};

pub(super) const ROWS_DIRECTORY: &str = "rows";
pub(super) const BUILDING_FILE: &str = "BUILDING";
/// What a replay needs beside the rows until they are finished.
pub(super) const BUILD_DIRECTORY: &str = "build";
pub(super) const LAYOUT_FILE: &str = "LAYOUT";
pub(super) const LOCK_FILE: &str = "LOCK";
/// Written and removed again to see whether the disk takes writes.
pub const PROBE_FILE: &str = "probe";
/// Why the rows are not whole: a batch was taken in part, and not because the disk took no writes; or what was built is not what
/// is there.
const TORN_FILE: &str = "TORN";

/// Bytes of all files of the generation in `path`, which need not be open.
pub fn bytes_on_disk(path: &Path) -> Result<u64, StoreError> {
    files::bytes_below(path).map_err(|error| StoreError::new("measure", path, error))
}

/// Whether the generation in `path` was begun, if only by name, and never finished. One that cannot be
/// read counts as finished, so that nobody removes it.
pub fn is_unfinished(path: &Path) -> bool {
    path.join(BUILDING_FILE).exists() || matches!(path.join(ROWS_DIRECTORY).try_exists(), Ok(false))
}

/// Layout of the generation in `path`, as text, which need not be open; `None` if it does not say.
pub fn layout_of(path: &Path) -> Option<String> {
    fs::read_to_string(path.join(LAYOUT_FILE)).ok().filter(|layout| !layout.is_empty())
}

/// Directory for what the replay of the generation in `path` needs until it is finished.
pub fn build_path(path: &Path) -> PathBuf {
    path.join(BUILD_DIRECTORY)
}

/// Removes what a replay needed, and what a process has left that was killed while it probed the disk. All of it takes room
/// and nothing else: what cannot be removed is tried again at the next opening.
pub(super) fn remove_build(path: &Path) {
    for removed in [fs::remove_dir_all(build_path(path)), fs::remove_file(path.join(PROBE_FILE))] {
        if let Err(error) = files::if_there(removed) {
            tracing::warn!("what is of no use any more in {} cannot be removed: {error}", path.display());
        }
    }
}

/// Earlier programs noted here which records waited without a position.
const UNPLACED_FILE: &str = "UNPLACED";

/// The files of a generation beside its rows, its lock and what builds it.
const FILES: [&str; 6] = [LAYOUT_FILE, BUILDING_FILE, TORN_FILE, FINISHED_FILE, SKIPPED_FILE, UNPLACED_FILE];

/// Notes that a batch was taken in part, if the next opening would find that part: sled gives up a whole batch if a write of it
/// failed, and what it took before it met damage it keeps.
pub(super) fn note_torn(path: &Path, error: &StoreError) {
    if error.failure == Failure::Write {
        return;
    }
    if let Err(failed) = files::write(&path.join(TORN_FILE), &error.detail) {
        tracing::error!(%failed, "it cannot be noted that {} holds part of a batch; rebuild it", path.display());
    }
}

/// Its rows are gone, and with them what was noted of them.
pub(super) fn forget_notes(path: &Path) -> Result<(), StoreError> {
    for name in [TORN_FILE, FINISHED_FILE, SKIPPED_FILE, UNPLACED_FILE] {
        files::if_there(fs::remove_file(path.join(name)))
            .map_err(|error| StoreError::new("create", path, error))?;
    }
    Ok(())
}

/// Refuses a generation in which something else lies where a file of it belongs: the system would say of which kind it is, and
/// not which one. The lock says so itself, and has nothing in it that could be lost.
pub(super) fn check_files(path: &Path) -> Result<(), StoreError> {
    misplaced(path).map_or(Ok(()), |misplaced| Err(StoreError::damaged("open", path, misplaced)))
}

/// What is wrong, if something else lies where a file of a build belongs: it can neither be resumed nor started again there.
pub(crate) fn misplaced_in_build(path: &Path) -> Option<String> {
    let build = build_path(path);
    let of_build = || files::misplaced_directory(&build).or_else(|| files::misplaced(&build, |_| true));
    misplaced(path).or_else(of_build)
}

fn misplaced(path: &Path) -> Option<String> {
    files::misplaced(path, |name| FILES.contains(&name))
}

/// Refuses a generation that holds part of a batch.
pub(super) fn check_not_torn(path: &Path) -> Result<(), StoreError> {
    let noted = files::read_if_there(&path.join(TORN_FILE));
    let Some(why) = noted.map_err(|error| StoreError::new("open", path, error))? else { return Ok(()) };
    let why = String::from_utf8_lossy(&why);
    Err(StoreError::damaged("open", path, format!("its rows are not whole ({why})")))
}

/// Whether something else lies there.
pub(crate) fn has_foreign_files(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        // A file that is replaced in one step has another name before.
        let name = name.to_string_lossy();
        let name = name.trim_end_matches(files::TEMPORARY_SUFFIX);
        if !FILES.contains(&name) && ![LOCK_FILE, BUILD_DIRECTORY, ROWS_DIRECTORY].contains(&name) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Takes the lock of a generation's directory without opening it.
pub(crate) fn lock(path: &Path, holder: &str) -> Result<DirectoryLock, GenerationError> {
    DirectoryLock::acquire(path, LOCK_FILE, holder).map_err(|error| match error {
        LockError::InUse { holder, .. } => GenerationError::InUse { path: path.to_owned(), holder },
        LockError::Io { .. } => GenerationError::Lock(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_being_replaced_is_not_somebody_elses() {
        let directory = tempfile::tempdir().unwrap();
        let half = format!("{FINISHED_FILE}{}", files::TEMPORARY_SUFFIX);
        fs::write(directory.path().join(half), "").unwrap();
        assert!(!has_foreign_files(directory.path()).unwrap());
        fs::write(directory.path().join("notes.tmp"), "").unwrap();
        assert!(has_foreign_files(directory.path()).unwrap());
    }
}
