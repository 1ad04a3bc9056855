//! The directory of the read model: generations, and the file `CURRENT` that names the one to serve.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use event_log::process::{DirectoryLock, LockError};

use super::files;
use super::generation;
use super::store::GenerationError;

const CURRENT: &str = "CURRENT";
/// What [`files::replace`] writes before it renames.
const CURRENT_TEMPORARY: &str = "CURRENT.tmp";
/// Held by the one replay that may be at work.
const REPLAY_LOCK: &str = "REPLAY";
/// Held by the one process that serves the read model, whichever generation it serves.
pub const SERVING_LOCK: &str = "SERVING";
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

/// Why a read model's directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadModelError {
    /// It cannot be created, read or written.
    #[error("cannot {action} {}: {source}; check that the directory exists and may be written", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something lies there that no read model has.
    #[error(
        "{} does not belong into a read model; choose another --data-dir, or move the file away",
        path.display()
    )]
    Foreign {
        /// The file or directory.
        path: PathBuf,
    },
    /// `CURRENT` names nothing that could be served.
    #[error("{} names `{found}`, which is no generation here; rebuild with `projector --replay`", path.display())]
    Current {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// Another replay is at work.
    #[error("{holder} is rebuilding the read model in {}; wait for it or stop it", path.display())]
    ReplayAtWork {
        /// Directory of the read model.
        path: PathBuf,
        /// Who has the lock.
        holder: String,
    },
    /// A generation is in use or cannot be locked.
    #[error(transparent)]
    Generation(#[from] GenerationError),
}

impl ReadModel {
    /// Opens a read model's directory, and creates it if it is missing.
    ///
    /// # Errors
    /// [`ReadModelError::Foreign`] if something else lies in it.
    pub fn open(directory: &Path) -> Result<Self, ReadModelError> {
        fs::create_dir_all(directory).map_err(io_error("create", directory))?;
        let read_model = Self { directory: directory.to_owned() };
        for name in read_model.entries()? {
            let known = [CURRENT, CURRENT_TEMPORARY, REPLAY_LOCK, SERVING_LOCK, LOST_AND_FOUND];
            let known = known.contains(&name.as_str());
            if !known && number_of(&name).is_none() && !name.starts_with(REMOVED_PREFIX) {
                return Err(ReadModelError::Foreign { path: directory.join(name) });
            }
        }
        Ok(read_model)
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Name of the generation to serve, such as `gen-000001`; `None` if none has been published.
    ///
    /// # Errors
    /// [`ReadModelError::Current`] if that generation is not there.
    pub fn current(&self) -> Result<Option<String>, ReadModelError> {
        let path = self.directory.join(CURRENT);
        let name = match fs::read_to_string(&path) {
            Ok(name) => name.trim_end().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("read", &path)(error)),
        };
        if number_of(&name).is_none() || !self.path_of(&name).is_dir() {
            return Err(ReadModelError::Current { path, found: name });
        }
        Ok(Some(name))
    }

    /// Names of all generations, oldest first.
    ///
    /// # Errors
    /// [`ReadModelError::Io`].
    pub fn names(&self) -> Result<Vec<String>, ReadModelError> {
        let mut names = self.entries()?;
        names.retain(|name| number_of(name).is_some());
        names.sort_unstable_by_key(|name| number_of(name));
        Ok(names)
    }

    /// Name of the generation to build next.
    ///
    /// # Errors
    /// [`ReadModelError::Io`].
    pub fn next_name(&self) -> Result<String, ReadModelError> {
        let last = self.names()?.last().and_then(|name| number_of(name)).unwrap_or(0);
        Ok(format!("{PREFIX}{:0DIGITS$}", last + 1))
    }

    /// Directory of a generation.
    #[must_use]
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Names the generation to serve from now on. Durable when it returns.
    ///
    /// # Errors
    /// [`ReadModelError::Io`]; the one named before then stays.
    pub fn publish(&self, name: &str) -> Result<(), ReadModelError> {
        let path = self.directory.join(CURRENT);
        files::replace(&path, &format!("{name}\n")).map_err(io_error("write", &path))
    }

    /// Removes all generations older than the current but the last `keep`, unless they are in use. Returns their names.
    ///
    /// # Errors
    /// [`ReadModelError`].
    pub fn retire(&self, keep: usize) -> Result<Vec<String>, ReadModelError> {
        let Some(current) = self.current()? else { return Ok(Vec::new()) };
        let mut older = self.names()?;
        older.retain(|name| {
            number_of(name) < number_of(&current) && !generation::is_unfinished(&self.path_of(name))
        });
        older.truncate(older.len().saturating_sub(keep));
        self.remove_unused(older)
    }

    /// Names of the generations that replays have begun and not finished, oldest first.
    ///
    /// # Errors
    /// [`ReadModelError`].
    pub fn unfinished(&self) -> Result<Vec<String>, ReadModelError> {
        let mut unfinished = self.names()?;
        unfinished.retain(|name| generation::is_unfinished(&self.path_of(name)));
        Ok(unfinished)
    }

    /// Removes what replays have left unfinished, unless it is in use. Returns the names.
    ///
    /// # Errors
    /// [`ReadModelError`].
    pub fn discard(&self) -> Result<Vec<String>, ReadModelError> {
        self.remove_unused(self.unfinished()?)
    }

    /// Makes this process the one that rebuilds; `holder` says who it is.
    ///
    /// # Errors
    /// [`ReadModelError::ReplayAtWork`] if another one is.
    pub fn lock_for_replay(&self, holder: &str) -> Result<DirectoryLock, ReadModelError> {
        DirectoryLock::acquire(&self.directory, REPLAY_LOCK, holder).map_err(|error| match error {
            LockError::InUse { dir, holder } => ReadModelError::ReplayAtWork { path: dir, holder },
            LockError::Io { path, source } => ReadModelError::Io { action: "lock", path, source },
        })
    }

    fn remove_unused(&self, names: Vec<String>) -> Result<Vec<String>, ReadModelError> {
        let mut removed = Vec::new();
        for name in names {
            let (path, aside) = (self.path_of(&name), self.path_of(&format!("removed-{name}")));
            // Held while it is renamed, so that nobody opens it meanwhile.
            match generation::lock(&path, "a process that removes it") {
                Ok(_lock) => fs::rename(&path, &aside).map_err(io_error("rename", &path))?,
                Err(GenerationError::InUse { .. }) => continue,
                Err(error) => return Err(error.into()),
            }
            removed.push(name);
        }
        for name in self.entries()?.iter().filter(|name| name.starts_with(REMOVED_PREFIX)) {
            let path = self.path_of(name);
            fs::remove_dir_all(&path).map_err(io_error("remove", &path))?;
        }
        Ok(removed)
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
