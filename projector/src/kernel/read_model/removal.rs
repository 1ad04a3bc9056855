//! Which generations go, and how: renamed first, so that half of one is never taken for a whole.

use std::fs;

use super::{REMOVED_PREFIX, ReadModel, ReadModelError, io_error, number_of};
use crate::kernel::generation;
use crate::kernel::store::GenerationError;

impl ReadModel {
    /// Removes all generations older than the current but the last `keep`, unless they are in use. Returns their names.
    ///
    /// # Errors
    /// [`ReadModelError`].
    pub fn retire(&self, keep: usize) -> Result<Vec<String>, ReadModelError> {
        let Some(current) = self.current()? else { return Ok(Vec::new()) };
        let mut older = self.finished_before(&current)?;
        older.truncate(older.len().saturating_sub(keep));
        self.remove_unused(older)
    }

    /// Names of the finished generations older than `name`, oldest first.
    pub(super) fn finished_before(&self, name: &str) -> Result<Vec<String>, ReadModelError> {
        let mut older = self.names()?;
        older.retain(|older| {
            number_of(older) < number_of(name) && !generation::is_unfinished(&self.path_of(older))
        });
        Ok(older)
    }

    /// Names of the generations that replays have begun and not finished, oldest first.
    ///
    /// # Errors
    /// [`ReadModelError`].
    pub fn unfinished(&self) -> Result<Vec<String>, ReadModelError> {
        // One that is published and has lost its rows is damaged, not unfinished.
        let current = self.current()?;
        let mut unfinished = self.names()?;
        unfinished
            .retain(|name| generation::is_unfinished(&self.path_of(name)) && current.as_ref() != Some(name));
        Ok(unfinished)
    }

    /// Removes what replays have left unfinished, unless it is in use. Returns the names.
    ///
    /// # Errors
    /// [`ReadModelError`].
    pub fn discard(&self) -> Result<Vec<String>, ReadModelError> {
        self.remove_unused(self.unfinished()?)
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
}
