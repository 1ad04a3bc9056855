//! One process per directory.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::error::too_many_files;

/// Held as long as it lives; the system releases it if the process dies. The file stays, and says who held it last.
#[derive(Debug)]
pub struct DirectoryLock {
    file: File,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("directory {} is in use by {holder}; stop that process or choose another directory", dir.display())]
    InUse { dir: PathBuf, holder: String },
    #[error("cannot lock {}: {source}; {}", path.display(), remedy(source))]
    Io { path: PathBuf, source: io::Error },
}

fn remedy(error: &io::Error) -> &'static str {
    if let Some(remedy) = too_many_files(&error.to_string()) {
        return remedy;
    }
    match error.kind() {
        io::ErrorKind::IsADirectory => {
            "a directory lies where this file belongs: move it away, the file is made again"
        }
        _ => "check that the directory exists and may be written",
    }
}

impl DirectoryLock {
    /// Locks `dir`, which must exist, by its file `name`. `holder` is written into it ("users, pid 12") and shown to
    /// the one that comes second.
    /// Errors: [`LockError::InUse`] at once if another process holds it; [`LockError::Io`].
    pub fn acquire(dir: &Path, name: &str, holder: &str) -> Result<DirectoryLock, LockError> {
        let path = dir.join(name);
        let io_error = |source| LockError::Io { path: path.clone(), source };
        let mut file = File::options()
            .write(true)
            .create(true)
            // Not truncated before it is ours: it says who holds it.
            .truncate(false)
            .open(&path)
            .map_err(io_error)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                LockError::InUse { dir: dir.to_owned(), holder: Self::holder(dir, name) }
            }
            TryLockError::Error(source) => io_error(source),
        })?;
        file.set_len(0).and_then(|()| file.write_all(holder.as_bytes())).map_err(io_error)?;
        Ok(DirectoryLock { file })
    }

    /// Who holds the lock `name` of `dir`, or was the last one to.
    pub fn holder(dir: &Path, name: &str) -> String {
        match fs::read_to_string(dir.join(name)) {
            Ok(holder) if !holder.trim().is_empty() => holder.trim().to_owned(),
            _ => "another process".to_owned(),
        }
    }
}

impl Drop for DirectoryLock {
    /// Closing the file would not do: a child that another thread starts has it, too, until it executes its program.
    fn drop(&mut self) {
        // Nothing can be reported here. Closing the file is what is left.
        let _closed_next = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_free_as_soon_as_it_is_dropped_also_where_the_file_was_inherited() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirectoryLock::acquire(dir.path(), "LOCK", "users, pid 12").unwrap();
        let _inherited = first.file.try_clone().unwrap();
        drop(first);
        DirectoryLock::acquire(dir.path(), "LOCK", "users, pid 13").unwrap();
    }

    #[test]
    fn the_second_learns_who_was_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirectoryLock::acquire(dir.path(), "LOCK", "users, pid 12").unwrap();
        let refused = DirectoryLock::acquire(dir.path(), "LOCK", "users, pid 13").unwrap_err();
        let LockError::InUse { holder, .. } = &refused else { panic!("{refused}") };
        assert_eq!(holder, "users, pid 12");
        assert!(refused.to_string().contains(&dir.path().display().to_string()), "{refused}");
        drop(first);
        DirectoryLock::acquire(dir.path(), "LOCK", "14").unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("LOCK")).unwrap(), "14");
    }

    #[test]
    fn a_directory_in_place_of_the_file_is_said_with_what_helps() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("LOCK")).unwrap();
        let error = DirectoryLock::acquire(dir.path(), "LOCK", "users").unwrap_err().to_string();
        let is_said = error.contains("LOCK") && error.contains("a directory lies where this file belongs");
        assert!(is_said && !error.contains("may be written"), "{error}");
    }

    #[test]
    fn a_missing_directory_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        let error = DirectoryLock::acquire(&missing, "LOCK", "users").unwrap_err();
        assert!(matches!(&error, LockError::Io { path, .. } if *path == missing.join("LOCK")), "{error}");
    }
}
