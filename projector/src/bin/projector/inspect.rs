//! `--inspect`.

use projector::kernel::{Generation, GenerationError};
use projector::shop;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::settings::Settings;
use crate::status::published;
use crate::{Failure, holder, say};

pub(crate) fn run(settings: &Settings, key: Uuid) -> Result<(), Failure> {
    let (_, path) = published(settings)?.ok_or_else(|| {
        Failure::failed("no generation has been published; build one with `projector --replay`")
    })?;
    let generation = Generation::open(&path, &shop::layout(), &holder()).map_err(|error| match error {
        GenerationError::InUse { .. } => Failure::in_use(error),
        other => Failure::failed(other),
    })?;
    let rows = shop::projection().inspect(&generation, key).map_err(Failure::failed)?;
    if rows.is_empty() {
        return Err(Failure::failed(format!("no view has a row with key {key}")));
    }
    let rows: Map<String, Value> = rows.into_iter().map(|(view, row)| (view.to_owned(), row)).collect();
    let rows = Value::Object(rows);
    say(&if settings.json { rows.to_string() } else { format!("{rows:#}") })
}
