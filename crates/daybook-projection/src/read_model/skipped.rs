//! The file that names the events which are left out for ever, in whatever generation.

use std::io;

use daybook_store::files;

use super::{ReadModel, ReadModelError, io_error};
use crate::quarantine::{SKIPPED_EVENTS_MAX, SkippedEvent};

/// A JSON array of [`SkippedEvent`], in the order in which that was said.
pub(super) const FILE: &str = "SKIPPED";

impl ReadModel {
    /// Events that are left out.
    /// Errors: [`ReadModelError::Skipped`] if the file is damaged: without it, nobody knows what was left out.
    pub fn skipped(&self) -> Result<Vec<SkippedEvent>, ReadModelError> {
        let path = self.directory.join(FILE);
        let text = match files::read_if_there(&path) {
            Ok(Some(text)) => text,
            Ok(None) => return Ok(Vec::new()),
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                let detail = "a directory lies where the file belongs".to_owned();
                return Err(ReadModelError::Skipped { path, detail });
            }
            Err(error) => return Err(io_error("read", &path)(error)),
        };
        let skipped = serde_json::from_slice(&text);
        skipped.map_err(|error| ReadModelError::Skipped { path, detail: error.to_string() })
    }

    /// Notes one more event that is left out, unless it is noted already; returns all of them. Durable when it returns. The
    /// caller holds the lock of replays, so that none begins without it.
    /// Errors: [`ReadModelError`]; nothing is noted then.
    pub fn note_skipped(&self, event: SkippedEvent) -> Result<Vec<SkippedEvent>, ReadModelError> {
        let path = self.directory.join(FILE);
        let mut skipped = self.skipped()?;
        if skipped.iter().any(|noted| noted.is_of_same_event(&event)) {
            return Ok(skipped);
        }
        if skipped.len() >= SKIPPED_EVENTS_MAX {
            return Err(ReadModelError::TooManySkipped { path, max: SKIPPED_EVENTS_MAX });
        }
        skipped.push(event);
        let text = serde_json::to_string_pretty(&skipped).map_err(io::Error::from);
        let written = text.and_then(|text| files::replace(&path, &(text + "\n")));
        written.map_err(io_error("write", &path))?;
        Ok(skipped)
    }
}
