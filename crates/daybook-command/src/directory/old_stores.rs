//! Stores that `--recover` has put aside, and the note that it has done its work.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use daybook_store::files::{remove, sync_dir};

use super::{Directory, DirectoryError, OLD_PREFIX, RECOVERED};

impl Directory {
    /// Stores that were put aside. They hold what could not be taken over, and states of users who have left since.
    pub(crate) fn old_stores(&self) -> Result<Vec<PathBuf>, DirectoryError> {
        let numbers = self.old_numbers().map_err(|source| self.unusable(source))?;
        Ok(numbers.into_iter().map(|number| self.old(number)).collect())
    }

    /// Removes them; returns which.
    pub(crate) fn remove_old_stores(&self) -> Result<Vec<PathBuf>, DirectoryError> {
        let old = self.old_stores()?;
        let removed = old.iter().try_for_each(|old| remove(old)).and_then(|()| sync_dir(&self.path));
        removed.map(|()| old).map_err(|source| self.unusable(source))
    }

    pub(super) fn old(&self, number: u32) -> PathBuf {
        self.path.join(format!("{OLD_PREFIX}{number:06}"))
    }

    /// Number of the store that was put aside last.
    pub(super) fn last_old(&self) -> io::Result<Option<u32>> {
        Ok(self.old_numbers()?.last().copied())
    }

    fn old_numbers(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let number = name.to_string_lossy().strip_prefix(OLD_PREFIX).map(str::parse::<u32>);
            numbers.extend(number.and_then(Result::ok));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Where it is noted that the store was made by `--recover`, and has not been started without it since.
    pub(crate) fn recovered_note(&self) -> PathBuf {
        self.path.join(RECOVERED)
    }

    /// Notes it. A note that a power cut takes away costs one rebuild more.
    pub(crate) fn note_recovered(&self) -> Result<(), DirectoryError> {
        let noted = File::create(self.recovered_note()).and_then(|_| sync_dir(&self.path));
        noted.map_err(|source| self.unusable(source))
    }

    /// Whether that store is still there.
    pub(crate) fn is_recovered(&self) -> bool {
        self.recovered_note().exists() && self.store().exists()
    }

    /// This start is one without `--recover`.
    pub(crate) fn forget_recovered(&self) -> Result<(), DirectoryError> {
        remove(&self.recovered_note()).map_err(|source| self.unusable(source))
    }
}
