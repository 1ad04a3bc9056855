//! A replay at work, as other processes see it and speak to it: files beside the generations.

use std::fs;
use std::io;

use daybook_store::files;

use super::{REPLAY_LOCK, ReadModel, ReadModelError, io_error};
use crate::replay::ReplayProgress;

pub(super) const PROGRESS: &str = "PROGRESS";
/// How many records a second the replay at work may read; 0 for no limit.
pub(super) const RATE: &str = "RATE";

#[derive(Debug, Clone, PartialEq)]
pub struct RebuildAtWork {
    pub holder: String,
    /// How far it is; none at its very start.
    pub progress: Option<ReplayProgress>,
}

impl ReadModel {
    pub fn rebuild_at_work(&self) -> Option<RebuildAtWork> {
        let lock = self.directory.join(REPLAY_LOCK);
        if !files::is_locked(&lock) {
            return None;
        }
        let holder = fs::read_to_string(&lock).unwrap_or_default().trim().to_owned();
        let progress = fs::read(self.directory.join(PROGRESS)).ok();
        // One that has ended meanwhile leaves its name there.
        if !files::is_locked(&lock) {
            return None;
        }
        Some(RebuildAtWork { holder, progress: progress.and_then(|json| serde_json::from_slice(&json).ok()) })
    }

    /// Changes the rate of the replay that is at work; `None` for no limit. It takes notice within a second.
    /// Errors: [`ReadModelError::NoReplay`] if none is at work.
    pub fn set_rate(&self, rate: Option<u64>) -> Result<(), ReadModelError> {
        if self.rebuild_at_work().is_none() {
            return Err(ReadModelError::NoReplay { path: self.directory.clone() });
        }
        let path = self.directory.join(RATE);
        files::replace(&path, rate.unwrap_or(0).to_string()).map_err(io_error("write", &path))
    }

    /// The rate that was asked for while a replay is at work; the inner `None` stands for no limit.
    pub(crate) fn rate(&self) -> Option<Option<u64>> {
        let text = fs::read_to_string(self.directory.join(RATE)).ok()?;
        let rate = text.trim().parse().ok()?;
        Some((rate != 0).then_some(rate))
    }

    /// Shows others how far this process's replay is.
    pub(crate) fn show_progress(&self, progress: &ReplayProgress) {
        let shown = serde_json::to_string(progress).map_err(io::Error::from);
        let shown = shown.and_then(|json| files::replace_fast(&self.directory.join(PROGRESS), &json));
        if let Err(error) = shown {
            // The replay itself does not depend on it; a full disk stops it soon enough.
            tracing::debug!("progress cannot be shown to other processes: {error}");
        }
    }

    /// Removes what one replay has published and was asked, so that the next one does not take it for its own.
    pub(crate) fn clear_control(&self) {
        for name in [PROGRESS, RATE] {
            if let Err(error) = files::if_there(fs::remove_file(self.directory.join(name))) {
                tracing::warn!("{name} of the read model cannot be removed: {error}");
            }
        }
    }
}
