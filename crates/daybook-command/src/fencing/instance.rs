//! Which instance a service's directory is, the highest epoch that it has ever claimed with, and the id of the log that it writes.
//!
//! All lie beside the store, not in it: `--recover` makes a new store, but not another instance, and an epoch whose
//! claim the log has lost must not be used again.

use std::path::{Path, PathBuf};
use std::{fs, io};

use daybook_store::files;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::directory::DirectoryError;

#[derive(Debug)]
pub(crate) struct Instance {
    dir: PathBuf,
    noted: Noted,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Noted {
    instance: Uuid,
    epoch: u32,
    /// Id of the log, if it is known: a program from before there were links does not say, and drops what was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log: Option<Uuid>,
}

impl Instance {
    pub(crate) const FILE: &str = "writer.json";

    /// Reads what the directory says; one that says nothing becomes an instance of its own with its first claim.
    pub(crate) fn open(dir: &Path, new_id: impl FnOnce() -> Uuid) -> Result<Self, DirectoryError> {
        let path = dir.join(Self::FILE);
        let failed = |reason: String| DirectoryError::NoInstance { path: path.clone(), reason };
        let noted = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Noted { instance: new_id(), epoch: 0, log: None }
            }
            Err(error) => return Err(failed(error.to_string())),
        };
        Ok(Self { dir: dir.to_owned(), noted })
    }

    pub(crate) fn id(&self) -> Uuid {
        self.noted.instance
    }

    /// The highest epoch that was claimed with, or may have been.
    pub(crate) fn epoch(&self) -> u32 {
        self.noted.epoch
    }

    /// Id of the log, which the first event of each partition names; none if it is not known.
    pub(crate) fn log_id(&self) -> Option<Uuid> {
        self.noted.log
    }

    /// A log that has no event yet gets the id of who writes to it first. Noted with the next epoch.
    pub(crate) fn begin_log(&mut self) {
        self.noted.log = Some(self.noted.instance);
    }

    /// Notes which log it is, or that it is not known; durable when it returns.
    pub(crate) fn note_log(&mut self, log: Option<Uuid>) -> Result<(), DirectoryError> {
        self.write(Noted { log, ..self.noted })
    }

    /// Notes an epoch before it is claimed with; durable when it returns.
    pub(crate) fn note(&mut self, epoch: u32) -> Result<(), DirectoryError> {
        self.write(Noted { epoch, ..self.noted })
    }

    fn write(&mut self, noted: Noted) -> Result<(), DirectoryError> {
        let written = serde_json::to_vec(&noted).map_err(io::Error::from);
        let written = written.and_then(|text| files::replace(&self.dir.join(Self::FILE), text));
        let unwritable = |source| DirectoryError::Unwritable { path: self.dir.join(Self::FILE), source };
        written.map_err(unwritable)?;
        self.noted = noted;
        Ok(())
    }
}
