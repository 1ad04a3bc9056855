//! The journal of a build: what of it is durable, so that another process can resume it.
//!
//! It is small, and replaced as a whole each time: a reader sees the state before or after, whatever happens. Its last line is
//! the sum of what comes before: a flipped bit would leave out events, or take rows for written that are not.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use daybook_store::{Digest, NoDigest, files};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Unit;
use crate::checkpoint::Checkpoint;
use crate::projection::Layout;
use crate::quarantine::SkippedEvent;
use crate::store::StoreError;

const FILE: &str = "JOURNAL";
/// Counts up when the meaning of a journal or of runs changes.
const VERSION: u32 = 5;

/// The journal, and where it is kept.
#[derive(Debug)]
pub(crate) struct JournalFile {
    path: PathBuf,
    state: Mutex<Journal>,
}

/// What is durable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Journal {
    version: u32,
    /// Layout of the generation.
    layout: String,
    /// How far the runs reach.
    pub(crate) checkpoint: Checkpoint,
    /// Names of the runs, in the order of writing.
    pub(crate) runs: Vec<String>,
    /// Names of the files of records that wait.
    #[serde(default)]
    pub(crate) parked: Vec<String>,
    /// Events that are left out.
    #[serde(default)]
    pub(crate) skipped: Vec<SkippedEvent>,
    /// Records recognised as repeated, before those places.
    pub(crate) duplicates: u64,
    /// Records of fenced writers, before those places.
    #[serde(default)]
    pub(crate) fenced: u64,
    /// Whether all rows have been written: from then on the generation itself says how far it is.
    pub(crate) settled: bool,
    /// Units to be written; empty while the log is being read.
    pub(crate) units: Vec<UnitEntry>,
}

/// A unit, and what was written of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnitEntry {
    view: usize,
    from: Uuid,
    to: Option<Uuid>,
    /// Digest of its rows, once they are durable.
    digest: Option<String>,
    /// Changes that were folded into them.
    #[serde(default)]
    pub(crate) changes: u64,
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// It is of another version of this program, or of other rows.
    #[error("{reason}")]
    Foreign { reason: String },
    /// It is not what was written.
    #[error("its journal is damaged")]
    Damaged,
    /// It cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl JournalFile {
    /// A journal of a build that begins at `start`, and leaves out what is skipped.
    pub(crate) fn create(
        build: &Path,
        layout: &Layout,
        start: &Checkpoint,
        skipped: Vec<SkippedEvent>,
    ) -> Result<Self, StoreError> {
        let (layout, checkpoint) = (layout.to_string(), start.clone());
        let journal = Journal { version: VERSION, layout, checkpoint, skipped, ..Journal::default() };
        let file = Self { path: build.join(FILE), state: Mutex::new(journal) };
        file.update(|_| {})?;
        Ok(file)
    }

    /// Forgets a build that was begun before, if there is one. Durable when it returns.
    pub(crate) fn remove(build: &Path) -> Result<(), StoreError> {
        let path = build.join(FILE);
        let removed = files::if_there(std::fs::remove_file(&path).and_then(|()| files::sync_parent(&path)));
        removed.map_err(|error| StoreError::new("remove", &path, error))
    }

    /// The journal of a build that was begun before; `None` if nothing of it has become durable.
    pub(crate) fn open(build: &Path, layout: &Layout) -> Result<Option<Self>, JournalError> {
        let path = build.join(FILE);
        let text = files::read_if_there(&path).map_err(|error| StoreError::new("read", &path, error))?;
        let Some(text) = text else { return Ok(None) };
        let foreign = |reason: String| Err(JournalError::Foreign { reason });
        let Some(json) = files::without_sum(&text) else {
            // Older ones have no sum.
            return match serde_json::from_slice::<Journal>(&text) {
                Ok(Journal { version, .. }) if version < VERSION => foreign(other_version(version)),
                _ => Err(JournalError::Damaged),
            };
        };
        let journal: Journal = match serde_json::from_slice(json) {
            Ok(journal) => journal,
            Err(error) => return foreign(format!("its journal cannot be read: {error}")),
        };
        if journal.version != VERSION {
            return foreign(other_version(journal.version));
        }
        if journal.layout != layout.to_string() {
            return foreign(format!("it has layout {}, this program writes {layout}", journal.layout));
        }
        Ok(Some(Self { path, state: Mutex::new(journal) }))
    }

    /// What is durable now.
    pub(crate) fn read(&self) -> MutexGuard<'_, Journal> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the journal; durable when it returns.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Journal)) -> Result<(), StoreError> {
        let mut journal = self.read();
        change(&mut journal);
        let io_error =
            |error: &dyn std::fmt::Display| StoreError::new("write", &self.path, error.to_string());
        let text = serde_json::to_string(&*journal).map_err(|error| io_error(&error))?;
        files::replace(&self.path, files::with_sum(&text)).map_err(|error| io_error(&error))
    }
}

fn other_version(version: u32) -> String {
    format!("its journal is of version {version}, not {VERSION}")
}

impl Journal {
    /// Digest of all rows; `None` while some are still to be written.
    pub(crate) fn digest(&self) -> Option<Digest> {
        let mut digest = Digest::default();
        for unit in &self.units {
            digest.merge(unit.digest()?.ok()?);
        }
        Some(digest)
    }
}

impl UnitEntry {
    pub(crate) fn new(unit: &Unit) -> Self {
        let (from, to) = (Uuid::from_u128(unit.from), unit.to.map(Uuid::from_u128));
        Self { view: unit.view, from, to, digest: None, changes: 0 }
    }

    pub(crate) fn unit(&self) -> Unit {
        Unit { view: self.view, from: self.from.as_u128(), to: self.to.map(|to| to.as_u128()) }
    }

    pub(crate) fn set_done(&mut self, digest: Digest, changes: u64) {
        self.digest = Some(digest.to_string());
        self.changes = changes;
    }

    pub(crate) fn is_done(&self) -> bool {
        self.digest.is_some()
    }

    /// Digest of its rows; `None` if they are still to be written.
    pub(crate) fn digest(&self) -> Option<Result<Digest, NoDigest>> {
        self.digest.as_ref().map(|digest| digest.parse())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flipped_bit_of_a_journal_goes_unnoticed() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout { version: 1, views: vec![(1, "lamps")] };
        let start = Checkpoint::zero([("lamps", 2)]);
        let journal = JournalFile::create(directory.path(), &layout, &start, Vec::new()).unwrap();
        journal.update(|journal| journal.runs.push("000001.run".to_owned())).unwrap();
        let expected = journal.read().clone();
        let path = directory.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            std::fs::write(&path, flipped).unwrap();
            if let Ok(found) = JournalFile::open(directory.path(), &layout) {
                assert_eq!(*found.unwrap().read(), expected, "byte {at}");
            }
        }
    }
}
