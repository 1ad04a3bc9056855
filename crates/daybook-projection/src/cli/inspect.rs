//! `--inspect`.

use crate::{Generation, GenerationError, Projection};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::manage::existing;
use super::settings::Settings;
use super::status::published;
use super::{Failure, holder, say};

pub(super) fn run<E>(settings: &Settings, projection: &Projection<E>, key: Uuid) -> Result<(), Failure> {
    let (_, path) = published(settings)?.ok_or_else(|| {
        Failure::failed("no generation has been published; build one with `projector --replay`")
    })?;
    let generation = Generation::open(&path, &projection.layout(), &holder()).map_err(|error| match error {
        GenerationError::InUse { .. } => Failure::in_use(format!(
            "{error}. Stop it to look at rows; `projector --status` and GET /status of a query-api show what waits"
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
    say(&if settings.json { rows.to_string() } else { format!("{rows:#}") })
}
