//! Generations that nobody is to serve, because they contradict what is served, or are damaged.
//!
//! Each has a file `WITHDRAWN`, written before `CURRENT` names another one: whatever happens in between, it is neither
//! served nor rolled back to any more. The next replay removes it.

use std::fs;
use std::path::PathBuf;

use daybook_store::files;
use serde::Serialize;

use super::publication::CURRENT;
use super::{ReadModel, ReadModelError, io_error};

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

    /// What is to be served in place of one that was withdrawn and that `CURRENT` still names: whoever withdrew it was killed
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
