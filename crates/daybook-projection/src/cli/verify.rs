//! `--verify`.

use daybook_event::event_data::EventData;
use serde_json::json;

use crate::replay::lower_priority;
use crate::verify::{Difference, RowName, Unreadable, VerifyReport, verify};
use crate::{Projection, ReplayOptions};

use super::flags::Settings;
use super::manage::existing;
use super::progress::ProgressReporter;
use super::replay::cancelled_by_signal;
use super::{Failure, say};

pub(super) fn run<E: EventData + 'static>(
    settings: &Settings,
    projection: Projection<E>,
    options: &ReplayOptions,
    limit: usize,
) -> Result<(), Failure> {
    let read_model = existing(settings)?;
    let cancelled = cancelled_by_signal()?;
    // Processes that answer queries on this machine come first.
    lower_priority();
    let mut reporter = ProgressReporter::new(settings.json);
    let verified = verify(
        &settings.kafka,
        &read_model,
        projection,
        options,
        limit,
        |progress| reporter.report(&progress),
        &cancelled,
    );
    reporter.end();
    let report = verified.map_err(|error| match error.is_in_use() {
        true => Failure::in_use(error),
        false => Failure::failed(error),
    })?;
    say(settings, &json!(report), as_text(&report))?;
    if report.is_sound() {
        return Ok(());
    }
    let name = &report.generation;
    let rebuild = match report.is_unreadable_only() {
        true => format!("{name} cannot be read; rebuild it with `projector --replay`"),
        false => format!(
            "{name} is not what the log says; rebuild it with `projector --replay --accept-difference WHY`"
        ),
    };
    Err(Failure::failed(match &report.left_out_unnamed {
        Some(lost) => format!("{lost}, and verify again. Where that is not it: {rebuild}"),
        None => rebuild,
    }))
}

fn as_text(report: &VerifyReport) -> String {
    let VerifyReport {
        generation,
        events,
        digest_kept,
        digest_rebuilt,
        parked_differently,
        differences,
        unreadable,
        more,
        left_out_unnamed: _,
    } = report;
    let mut lines = vec![
        format!(
            "{generation}, {events} events: {} rows differ{}",
            differences.len(),
            if *more { ", and more" } else { "" }
        ),
        format!("digest kept    {digest_kept}"),
        format!("digest rebuilt {digest_rebuilt}"),
    ];
    lines.extend(
        parked_differently.iter().map(|key| format!("not the same events of key {key} wait in quarantine")),
    );
    lines.extend(differences.iter().map(line));
    lines.extend(unreadable.iter().map(unread));
    lines.join("\n")
}

fn line(difference: &Difference) -> String {
    let Difference { view, key, part, served, rebuilt } = difference;
    let part = part.map_or_else(String::new, |part| format!(" part {part}"));
    let shown = |row: &Option<String>| row.clone().unwrap_or_else(|| "no row".to_owned());
    format!("{view} {key}{part}\n  served  {}\n  rebuilt {}", shown(served), shown(rebuilt))
}

fn unread(rows: &Unreadable) -> String {
    let Unreadable { after, before, detail } = rows;
    let shown = |row: &Option<RowName>, none: &str| {
        row.as_ref().map_or_else(|| none.to_owned(), |RowName { view, key }| format!("{view} {key}"))
    };
    let (after, before) = (shown(after, "the first row"), shown(before, "the last row"));
    format!("rows between {after} and {before} cannot be read: {detail}")
}
