//! The directory of the read model: generations, and the file `CURRENT` that names the one to serve.

mod control;
mod publication;
mod removal;
mod skipped;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::store::GenerationError;
pub use control::RebuildAtWork;
use daybook_store::{DirectoryLock, LockError, files, too_many_files};
use publication::CURRENT;
pub use removal::Withdrawn;

/// Held by the one replay that may be at work.
const REPLAY_LOCK: &str = "REPLAY";
/// Held by the one process that serves the read model, whichever generation it serves.
pub const SERVING_LOCK: &str = "SERVING";
/// Where the process that serves the read model answers its operators.
pub const ADMIN_SOCKET: &str = "ADMIN";
/// Where a verification builds the generation that it compares with.
pub const VERIFY_DIRECTORY: &str = "verify";
/// How often a lock that is held is tried again, and after which pause.
const LOCK_TRIES: u32 = 5;
const LOCK_TRY_INTERVAL: Duration = Duration::from_millis(10);
/// Root of a mounted file system.
const LOST_AND_FOUND: &str = "lost+found";
const PREFIX: &str = "gen-";
/// A generation on its way out: renamed first, so that half of one is never taken for a whole.
const REMOVED_PREFIX: &str = "removed-gen-";
const DIGITS: usize = 6;

/// The directory of a read model. Only names are kept here; nothing is locked or open.
#[derive(Debug, Clone)]
pub struct ReadModel {
    directory: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadModelError {
    #[error("cannot {action} {}: {source}; {}", path.display(), remedy(source))]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "{} does not belong in a read-model directory; choose another --data-dir, or move the file away",
        path.display()
    )]
    Foreign { path: PathBuf },
    #[error("{} names `{found}`, which is no generation here; rebuild with `projector --replay`", path.display())]
    Current { path: PathBuf, found: String },
    #[error("{} names `{found}`, which was withdrawn: {why}; rebuild with `projector --replay`", path.display())]
    Withdrawn { path: PathBuf, found: String, why: String },
    #[error("{holder} is rebuilding the read model in {}; wait for it or stop it", path.display())]
    ReplayAtWork { path: PathBuf, holder: String },
    #[error("no replay is at work in {}; start one with `projector --replay`", path.display())]
    NoReplay { path: PathBuf },
    #[error("{} keeps no generation that was published before the present one; rebuild with `projector --replay`", path.display())]
    NothingOlder { path: PathBuf },
    #[error("{} cannot be read: {detail}; restore it from a copy, it says which events are left out for ever. Without one, move it away and rebuild with `projector --replay --accept-difference WHY`: what was left out waits then, and can be left out again", path.display())]
    Skipped { path: PathBuf, detail: String },
    #[error("{} names {max} events already, and no more may be left out", path.display())]
    TooManySkipped { path: PathBuf, max: usize },
    #[error(transparent)]
    Generation(#[from] GenerationError),
}

fn remedy(error: &io::Error) -> &'static str {
    if let Some(remedy) = too_many_files(&error.to_string()) {
        return remedy;
    }
    match error.kind() {
        io::ErrorKind::IsADirectory => "a directory lies where this file belongs: move it away",
        _ => "check that the directory exists and may be written",
    }
}

impl ReadModelError {
    /// Whether what is published is not there or not to be served: nothing but a replay helps, which needs nothing of it.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Current { .. } | Self::Withdrawn { .. })
    }
}

impl ReadModel {
    /// Opens a read model's directory, and creates it if it is missing.
    /// Errors: [`ReadModelError::Foreign`] if something else lies in it.
    pub fn open(directory: &Path) -> Result<Self, ReadModelError> {
        fs::create_dir_all(directory).map_err(io_error("create", directory))?;
        Self::open_existing(directory)
    }

    /// Opens a read model's directory, which must be there.
    pub fn open_existing(directory: &Path) -> Result<Self, ReadModelError> {
        let read_model = Self { directory: directory.to_owned() };
        for name in read_model.entries()? {
            let known = [REPLAY_LOCK, SERVING_LOCK, ADMIN_SOCKET, VERIFY_DIRECTORY, LOST_AND_FOUND];
            let known = known.contains(&name.as_str());
            // A file that is replaced in one step has another name before.
            let replaced = [CURRENT, skipped::FILE, control::PROGRESS, control::RATE];
            let known = known || replaced.contains(&name.trim_end_matches(files::TEMPORARY_SUFFIX));
            if !known && number_of(&name).is_none() && !name.starts_with(REMOVED_PREFIX) {
                return Err(ReadModelError::Foreign { path: directory.join(name) });
            }
        }
        Ok(read_model)
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn names(&self) -> Result<Vec<String>, ReadModelError> {
        let mut names = self.entries()?;
        names.retain(|name| number_of(name).is_some());
        names.sort_unstable_by_key(|name| number_of(name));
        Ok(names)
    }

    pub fn path_of(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Makes this process the one that rebuilds; `holder` says who it is.
    /// Errors: [`ReadModelError::ReplayAtWork`] if another one is.
    pub fn lock_for_replay(&self, holder: &str) -> Result<DirectoryLock, ReadModelError> {
        let mut tries = 0;
        loop {
            match DirectoryLock::acquire(&self.directory, REPLAY_LOCK, holder) {
                Ok(lock) => return Ok(lock),
                // A process that checks whether a replay is at work holds the lock for a moment.
                Err(LockError::InUse { .. }) if tries < LOCK_TRIES => thread::sleep(LOCK_TRY_INTERVAL),
                Err(LockError::InUse { dir, holder }) => {
                    return Err(ReadModelError::ReplayAtWork { path: dir, holder });
                }
                Err(LockError::Io { path, source }) => {
                    return Err(ReadModelError::Io { action: "lock", path, source });
                }
            }
            tries += 1;
        }
    }

    fn entries(&self) -> Result<Vec<String>, ReadModelError> {
        let entries = fs::read_dir(&self.directory).map_err(io_error("read", &self.directory))?;
        let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        entries.map(name).collect::<io::Result<_>>().map_err(io_error("read", &self.directory))
    }
}

/// `1` of `gen-000001`.
fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    let all_digits = digits.len() >= DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().ok()).flatten()
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ReadModelError {
    move |source| ReadModelError::Io { action, path: path.to_owned(), source }
}
