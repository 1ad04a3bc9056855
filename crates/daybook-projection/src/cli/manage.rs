//! `--rollback`, `--discard`, `--rate` alone, `--inspect`, and what is done about the quarantine: through the process that serves, or here.

use std::fmt::Display;
use std::{fs, io};

use daybook_event::event_data::EventData;
use daybook_service::{EXIT_USAGE, Stop};
use daybook_store::DirectoryLock;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::flags::Settings;
use super::status::published;
use super::{Failure, holder, say};
use crate::generation::layout_of;
use crate::quarantine::{EventName, Released};
use crate::verify::{Served, ServedError, VerifyError};
use crate::{Generation, GenerationError, Layout, Projection, ReadModel, ReadModelError};

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
    let before_it = if before.is_empty() { "a generation that is no longer there" } else { &before };
    let text = format!("{now} is published again in place of {before_it}; {served}");
    say(settings, &json!({ "generation": now, "before": before }), text)
}

pub(super) fn discard(settings: &Settings) -> Result<(), Failure> {
    let read_model = existing(settings)?;
    // A replay that is at work is none that was left.
    let _lock = lock(&read_model)?;
    let removed = read_model.discard().map_err(Failure::failed)?;
    let text = match removed.as_slice() {
        [] => "nothing was left unfinished".to_owned(),
        names => format!("removed {}", names.join(", ")),
    };
    say(settings, &json!({ "removed": removed }), text)
}

pub(super) fn set_rate(settings: &Settings, rate: Option<u64>) -> Result<(), Failure> {
    existing(settings)?.set_rate(rate).map_err(Failure::failed)?;
    let text = match rate {
        Some(rate) => format!("the replay at work reads at most {rate} events per second from now on"),
        None => "the replay at work is not throttled from now on".to_owned(),
    };
    say(settings, &json!({ "rate": rate }), text)
}

fn lock(read_model: &ReadModel) -> Result<DirectoryLock, Failure> {
    read_model.lock_for_replay(&holder()).map_err(|error| match error {
        ReadModelError::ReplayAtWork { .. } => Failure::in_use(error),
        error => Failure::failed(error),
    })
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

pub(super) fn inspect<E>(settings: &Settings, projection: &Projection<E>, key: Uuid) -> Result<(), Failure> {
    let (_, path) = published(settings)?.ok_or_else(|| Failure::failed(VerifyError::Nothing))?;
    let generation = Generation::open(&path, &projection.layout(), &holder()).map_err(|error| match error {
        GenerationError::InUse { .. } => Failure::in_use(format!(
            "{error}. Stop it to see rows; `projector --status` and GET /status of a query-api show what waits"
        )),
        other => Failure::failed(other),
    })?;
    let rows = projection.inspect(&generation, key).map_err(Failure::failed)?;
    let mut shown: Map<String, Value> = rows.into_iter().map(|(view, row)| (view.to_owned(), row)).collect();
    let quarantine = generation.quarantine();
    let is_meant = |text: &str| text.parse() == Ok(key);
    let parked: Vec<_> = quarantine.keys().filter(|parked| is_meant(&parked.key)).collect();
    let skipped = existing(settings)?.skipped().map_err(Failure::failed)?;
    let skipped: Vec<_> = skipped.into_iter().filter(|event| is_meant(&event.key)).collect();
    if shown.is_empty() && parked.is_empty() && skipped.is_empty() {
        return Err(Failure::failed(format!("no view has a row with key {key}")));
    }
    if !parked.is_empty() {
        shown.insert("quarantine".to_owned(), json!(parked));
    }
    if !skipped.is_empty() {
        shown.insert("skipped".to_owned(), json!(skipped));
    }
    let rows = Value::Object(shown);
    say(settings, &rows, format!("{rows:#}"))
}

pub(super) fn release<E: EventData + 'static>(
    settings: &Settings,
    projection: Projection<E>,
    key: &str,
) -> Result<(), Failure> {
    let served = served(&existing(settings)?, projection)?;
    let released = served.release_key(projection, key).map_err(failed)?;
    let released = released.map_err(Failure::failed)?;
    let text = format!("released {} events of key {key}", released.projected);
    say(settings, &json!(released), text)
}

pub(super) fn skip_event<E: EventData + 'static>(
    settings: &Settings,
    projection: Projection<E>,
    event: &EventName,
    why: &str,
) -> Result<(), Failure> {
    let read_model = existing(settings)?;
    // No replay may begin without it, or end beside it.
    let _lock = lock(&read_model)?;
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
        "{event} is left out for ever; of key {key}, {projected} events behind it were projected, {waiting} still wait"
    );
    say(settings, &json!(released), text)
}

fn served<E: EventData + 'static>(
    read_model: &ReadModel,
    projection: Projection<E>,
) -> Result<Served, Failure> {
    // A signal ends this program at once.
    let never = Stop::default();
    let found = Served::find(read_model, projection, &holder(), &never).map_err(failed)?;
    found.ok_or_else(|| Failure::failed(VerifyError::Nothing))
}

/// It is noted already, whatever has become of it where it waits.
fn not_yet(event: &EventName, error: impl Display) -> Failure {
    Failure::failed(format!(
        "{event} is noted as left out, and every generation that is opened or built from now on leaves it out; the one that is \
         published may not have done so yet: {error}. Run the command again once that is repaired"
    ))
}

fn failed(error: ServedError) -> Failure {
    Failure::failed(error)
}
