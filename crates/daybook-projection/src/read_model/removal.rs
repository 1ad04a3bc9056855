//! Generations that nobody needs, or is to serve: how they are noted, and how they go.

use std::fs;
use std::path::{Path, PathBuf};

use daybook_store::files;
use serde::Serialize;

use super::publication::CURRENT;
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

    /// One that cannot be removed keeps none of the others; the first of them is reported when the others are gone.
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

/// Whether a symbolic link lies there that leads nowhere: no generation, and none can be built, locked or resumed there.
fn leads_nowhere(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) && matches!(path.try_exists(), Ok(false))
}

// Each has a file `WITHDRAWN`, written before `CURRENT` names another one: whatever happens in between, it is neither
// served nor rolled back to any more. The next replay removes it.

/// In the directory of a generation: what is served in its place, and on the next line why.
const WITHDRAWN: &str = "WITHDRAWN";

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Withdrawn {
    pub generation: String,
    pub served: String,
    pub why: String,
}

impl ReadModel {
    /// Notes that nobody is to serve `name`, and why, and names `served` again in its place, unless another one has been
    /// published meanwhile. Durable when it returns.
    /// Errors: [`ReadModelError::Io`]; `name` is withdrawn all the same if its note is there.
    pub fn withdraw(&self, name: &str, served: &str, why: &str) -> Result<(), ReadModelError> {
        let _one = self.publishing()?;
        // One that is gone is served by nobody.
        if self.has(name) {
            let path = self.withdrawn_path(name);
            let note = format!("{served}\n{}\n", why.replace('\n', " "));
            files::replace(&path, &note).map_err(io_error("write", &path))?;
        }
        match self.named()? {
            Some(named) if named == name => self.set_current(served),
            _ => Ok(()),
        }
    }

    pub fn withdrawn(&self) -> Result<Vec<Withdrawn>, ReadModelError> {
        let names = self.names()?;
        Ok(names.iter().filter_map(|name| self.withdrawal_of(name)).collect())
    }

    /// What is to be served in place of one that was withdrawn and that `CURRENT` still names: the process that withdrew it was killed
    /// before it could name the other one.
    pub(super) fn in_place_of(&self, withdrawn: Withdrawn) -> Result<String, ReadModelError> {
        let Withdrawn { generation, served, why } = withdrawn;
        let is_fit = |name: &String| self.has(name) && !self.is_withdrawn(name);
        let in_place = match Some(served).filter(is_fit) {
            Some(served) => Some(served),
            None => self.published_before(&generation)?.into_iter().next(),
        };
        let path = self.directory.join(CURRENT);
        in_place.ok_or(ReadModelError::Withdrawn { path, found: generation, why })
    }

    /// Why nobody is to serve a generation; `None` if nobody said so, as far as can be seen: of a generation that cannot be looked
    /// at, its opening says why.
    pub(super) fn withdrawal_of(&self, name: &str) -> Option<Withdrawn> {
        let path = self.withdrawn_path(name);
        let note = match fs::read(&path) {
            Ok(note) => String::from_utf8_lossy(&note).into_owned(),
            Err(_) if path.exists() => String::new(),
            Err(_) => return None,
        };
        let (served, why) = note.trim_end().split_once('\n').unwrap_or((note.trim_end(), ""));
        let why = if why.is_empty() { "its note is damaged and does not say why" } else { why };
        let served = if served.is_empty() { "another generation" } else { served };
        Some(Withdrawn { generation: name.to_owned(), served: served.to_owned(), why: why.to_owned() })
    }

    /// Whether nobody is to serve a generation; one that is gone has no note any more.
    pub fn is_withdrawn(&self, name: &str) -> bool {
        self.withdrawn_path(name).exists()
    }

    fn withdrawn_path(&self, name: &str) -> PathBuf {
        self.path_of(name).join(WITHDRAWN)
    }
}
