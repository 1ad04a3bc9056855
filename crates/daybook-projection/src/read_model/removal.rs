//! Which generations go, and how: renamed first, so that half of one is never taken for a whole.

use std::fs;
use std::path::Path;

use daybook_store::files;

use super::{REMOVED_PREFIX, ReadModel, ReadModelError, io_error, number_of};
use crate::generation;
use crate::store::GenerationError;

impl ReadModel {
    /// Removes the generations that nobody needs any more, unless they are in use: all older than the current one, and all
    /// that were published and are no more, but the last `keep` that were published before it. Returns their names.
    pub fn retire(&self, keep: usize) -> Result<Vec<String>, ReadModelError> {
        let Some(current) = self.current()? else { return Ok(Vec::new()) };
        let mut stay = self.published_before(&current)?;
        stay.truncate(keep);
        let unfinished = self.unfinished()?;
        let mut gone = self.names()?;
        gone.retain(|name| {
            let is_old = number_of(name) < number_of(&current) || self.was_published(name);
            let is_over = is_old && !stay.contains(name) && !unfinished.contains(name);
            *name != current && (is_over || leads_nowhere(&self.path_of(name)))
        });
        self.remove_unused(gone)
    }

    /// Names of the generations that replays have begun and not finished, oldest first.
    pub fn unfinished(&self) -> Result<Vec<String>, ReadModelError> {
        // One that was published and has lost its rows is damaged, not unfinished.
        let named = self.named()?;
        let mut unfinished = self.names()?;
        unfinished.retain(|name| {
            let was_published = named.as_ref() == Some(name) || self.was_published(name);
            let path = self.path_of(name);
            generation::is_unfinished(&path) && !was_published && !leads_nowhere(&path)
        });
        Ok(unfinished)
    }

    /// Removes what replays have left unfinished, unless it is in use, and links in the place of a generation that lead nowhere.
    /// Returns the names.
    pub fn discard(&self) -> Result<Vec<String>, ReadModelError> {
        let (named, unfinished) = (self.named()?, self.unfinished()?);
        let mut gone = self.names()?;
        gone.retain(|name| {
            let is_link = leads_nowhere(&self.path_of(name)) && named.as_ref() != Some(name);
            is_link || unfinished.contains(name)
        });
        self.remove_unused(gone)
    }

    /// One that cannot be removed keeps none of the others; the first of them is told when the others are gone.
    fn remove_unused(&self, names: Vec<String>) -> Result<Vec<String>, ReadModelError> {
        let (mut removed, mut failed) = (Vec::new(), Vec::new());
        for name in names {
            match self.set_aside(&name) {
                Ok(()) => removed.push(name),
                Err(ReadModelError::Generation(GenerationError::InUse { .. })) => {}
                Err(error) => failed.push(error),
            }
        }
        for name in self.entries()?.iter().filter(|name| name.starts_with(REMOVED_PREFIX)) {
            let path = self.path_of(name);
            failed.extend(fs::remove_dir_all(&path).map_err(io_error("remove", &path)).err());
        }
        failed.into_iter().next().map_or(Ok(removed), Err)
    }

    fn set_aside(&self, name: &str) -> Result<(), ReadModelError> {
        let (path, aside) = (self.path_of(name), self.path_of(&format!("removed-{name}")));
        if leads_nowhere(&path) {
            tracing::warn!("{} is a symbolic link that leads nowhere, and is removed", path.display());
            return fs::remove_file(&path).map_err(io_error("remove", &path));
        }
        // Held while it is renamed, so that nobody opens it meanwhile.
        let _lock = generation::lock(&path, "a process that removes it")?;
        // Durable before anything of it is removed: else half of it might come back under its old name.
        fs::rename(&path, &aside).and_then(|()| files::sync_parent(&aside)).map_err(io_error("rename", &path))
    }
}

/// Whether a symbolic link lies there that leads nowhere: no generation, and none can be built, locked or gone on with there.
fn leads_nowhere(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) && matches!(path.try_exists(), Ok(false))
}
