//! `--release` and `--skip-event`: through the process that serves, or here if nobody does.

use std::fmt::Display;

use crate::quarantine::{EventName, Released};
use crate::verify::{HoldError, Served};
use crate::{Projection, ReadModel, ReadModelError};
use daybook_event::event_data::EventData;
use daybook_service::Stop;
use jiff::Timestamp;
use serde_json::json;

use super::manage::existing;
use super::settings::Settings;
use super::{Failure, holder, say};

pub(super) fn release<E: EventData + 'static>(
    settings: &Settings,
    projection: Projection<E>,
    key: &str,
) -> Result<(), Failure> {
    let served = served(&existing(settings)?, projection)?;
    let released = served.release_key(projection, key).map_err(failed)?;
    let released = released.map_err(Failure::failed)?;
    let text = format!("released {} events of key {key}", released.projected);
    tell(settings, &text, &released)
}

pub(super) fn skip_event<E: EventData + 'static>(
    settings: &Settings,
    projection: Projection<E>,
    event: &EventName,
    why: &str,
) -> Result<(), Failure> {
    let read_model = existing(settings)?;
    // No replay may begin without it, or end beside it.
    let _lock = read_model.lock_for_replay(&holder()).map_err(|error| match error {
        ReadModelError::ReplayAtWork { .. } => Failure::in_use(error),
        error => Failure::failed(error),
    })?;
    let served = served(&read_model, projection)?;
    let now = Timestamp::now().to_string();
    let found = served.find_parked(event, why, &now).map_err(failed)?;
    let skipped = found.ok_or_else(|| {
        Failure::failed(format!(
            "no event {event} waits in quarantine; only such an event can be left out, `projector --status` lists them. One whose position is not known yet can be named once another record has followed in its partition"
        ))
    })?;
    let key = skipped.key.clone();
    let all = read_model.note_skipped(skipped).map_err(Failure::failed)?;
    let left_out = served.leave_out(projection, all);
    let released = left_out.map_err(|error| not_yet(event, error))?.map_err(|error| not_yet(event, error))?;
    let Released { projected, waiting, .. } = released;
    let text = format!(
        "{event} is left out for ever; of key {key}, {projected} events behind it were projected, {waiting} go on waiting"
    );
    tell(settings, &text, &released)
}

fn served<E: EventData + 'static>(
    read_model: &ReadModel,
    projection: Projection<E>,
) -> Result<Served, Failure> {
    // A signal ends this program at once.
    let never = Stop::default();
    let found = Served::find_repaired(read_model, projection, &holder(), &never).map_err(failed)?;
    found.ok_or_else(|| {
        Failure::failed("no generation has been published; build one with `projector --replay`")
    })
}

/// It is noted already, whatever has become of it where it waits.
fn not_yet(event: &EventName, error: impl Display) -> Failure {
    Failure::failed(format!(
        "{event} is noted as left out, and every generation that is opened or built from now on leaves it out; the one that is \
         published may not have done so yet: {error}. Say it again once that is mended"
    ))
}

fn failed(error: HoldError) -> Failure {
    Failure::failed(error)
}

fn tell(settings: &Settings, text: &str, released: &Released) -> Result<(), Failure> {
    say(&if settings.json { json!(released).to_string() } else { text.to_owned() })
}
