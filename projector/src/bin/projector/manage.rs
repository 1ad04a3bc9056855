//! `--rollback`, `--discard`, and `--rate` alone.

use projector::kernel::generation::layout_of;
use projector::kernel::{ReadModel, ReadModelError};
use serde_json::json;

use crate::settings::Settings;
use crate::{Failure, say};

pub(crate) fn roll_back(settings: &Settings) -> Result<(), Failure> {
    let read_model = existing(settings)?;
    let (now, before) = read_model.roll_back().map_err(Failure::failed)?;
    let ours = projector::shop::layout().to_string();
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

pub(crate) fn discard(settings: &Settings) -> Result<(), Failure> {
    let read_model = existing(settings)?;
    // A replay that is at work is none that was left.
    let _lock = read_model.lock_for_replay(&crate::holder()).map_err(|error| match error {
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

pub(crate) fn set_rate(settings: &Settings, rate: Option<u64>) -> Result<(), Failure> {
    existing(settings)?.set_rate(rate).map_err(Failure::failed)?;
    let text = match rate {
        Some(rate) => format!("the replay at work reads at most {rate} events per second from now on"),
        None => "the replay at work is not throttled from now on".to_owned(),
    };
    say(&if settings.json { json!({ "rate": rate }).to_string() } else { text })
}

/// The read model; it is not created.
pub(crate) fn existing(settings: &Settings) -> Result<ReadModel, Failure> {
    if !settings.data_dir.is_dir() {
        let sentence = format!(
            "there is no read model in {}; build one with `projector --replay`",
            settings.data_dir.display()
        );
        return Err(Failure::failed(sentence));
    }
    ReadModel::open(&settings.data_dir).map_err(Failure::failed)
}
