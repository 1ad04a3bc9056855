//! `--rollback`, `--discard`, and `--rate` alone.

use std::fs;
use std::io;

use crate::generation::layout_of;
use crate::{Layout, ReadModel, ReadModelError};
use daybook_service::EXIT_USAGE;
use serde_json::json;

use super::settings::Settings;
use super::{Failure, say};

pub(super) fn roll_back(settings: &Settings, layout: &Layout) -> Result<(), Failure> {
    let read_model = existing(settings)?;
    let (now, before) = read_model.roll_back().map_err(Failure::failed)?;
    let ours = layout.to_string();
    let served = match layout_of(&read_model.path_of(&now)) {
        Some(layout) if layout != ours => {
            format!("it has layout {layout}, which only the version of query-api that wrote it serves")
        }
        _ => "it is served as soon as it has caught up".to_owned(),
    };
    let before_it = if before.is_empty() { "what is named no more" } else { &before };
    let text = format!("{now} is published again in place of {before_it}; {served}");
    say(&if settings.json { json!({ "generation": now, "before": before }).to_string() } else { text })
}

pub(super) fn discard(settings: &Settings) -> Result<(), Failure> {
    let read_model = existing(settings)?;
    // A replay that is at work is none that was left.
    let _lock = read_model.lock_for_replay(&super::holder()).map_err(|error| match error {
        ReadModelError::ReplayAtWork { .. } => Failure::in_use(error),
        error => Failure::failed(error),
    })?;
    let removed = read_model.discard().map_err(Failure::failed)?;
    let text = match removed.as_slice() {
        [] => "nothing was left unfinished".to_owned(),
        names => format!("removed {}", names.join(", ")),
    };
    say(&if settings.json { json!({ "removed": removed }).to_string() } else { text })
}

pub(super) fn set_rate(settings: &Settings, rate: Option<u64>) -> Result<(), Failure> {
    existing(settings)?.set_rate(rate).map_err(Failure::failed)?;
    let text = match rate {
        Some(rate) => format!("the replay at work reads at most {rate} events per second from now on"),
        None => "the replay at work is not throttled from now on".to_owned(),
    };
    say(&if settings.json { json!({ "rate": rate }).to_string() } else { text })
}

/// The read model; its directory is not made. One that is not there is a slip in its name more often than not.
pub(super) fn existing(settings: &Settings) -> Result<ReadModel, Failure> {
    let dir = &settings.data_dir;
    let is_missing = fs::metadata(dir).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    if is_missing {
        let sentence = format!(
            "the directory {} does not exist: name that of the read model with --data-dir; a new one is made by `projector --replay`",
            dir.display()
        );
        return Err(Failure { exit_code: EXIT_USAGE, sentence });
    }
    ReadModel::open_existing(dir).map_err(Failure::failed)
}
