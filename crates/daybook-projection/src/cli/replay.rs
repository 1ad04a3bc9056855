//! `--replay`.

use std::thread;

use crate::quarantine::SkippedEvent;
use crate::replay::wait_for_a_broker;
use crate::{
    Comparison, Projection, ReadModel, ReplayOptions, ReplayReport, SourceCheckpoint, SourceId,
    rebuild_aside, replay,
};
use daybook_event::event_data::EventData;
use daybook_service::{Stop, shutdown_signal};
use daybook_stream::SetAside;
use serde_json::{Value, json};

use super::flags::Settings;
use super::progress::ProgressReporter;
use super::{Failure, say};

pub(super) fn run<E: EventData + 'static>(
    settings: &Settings,
    projection: Projection<E>,
    options: &ReplayOptions,
) -> Result<(), Failure> {
    let kafka = &settings.kafka;
    let cancelled = cancelled_by_signal()?;
    let mut reporter = ProgressReporter::new(settings.json);
    let report = |progress| reporter.report(&progress);
    let replayed = match options.into {
        // No read model has a part in it, so none is made.
        Some(_) => {
            let options = ReplayOptions { skipped: skipped(settings)?, ..options.clone() };
            rebuild_aside(kafka, projection, &options, report, &cancelled)
        }
        None => {
            let read_model = read_model(settings, options, &cancelled)?;
            replay(kafka, &read_model, projection, options, report, &cancelled)
        }
    };
    reporter.end();
    match replayed {
        Ok(report) => say(settings, &as_json(&report), as_text(&report)),
        Err(error) if error.is_in_use() => Err(Failure::in_use(error)),
        Err(error) => Err(Failure::failed(error)),
    }
}

fn skipped(settings: &Settings) -> Result<Vec<SkippedEvent>, Failure> {
    match settings.data_dir.is_dir() {
        true => ReadModel::open_existing(&settings.data_dir)
            .and_then(|found| found.skipped())
            .map_err(Failure::failed),
        false => Ok(Vec::new()),
    }
}

fn read_model(settings: &Settings, options: &ReplayOptions, cancelled: &Stop) -> Result<ReadModel, Failure> {
    // A directory is not made for a replay that cannot begin.
    if !settings.data_dir.exists() {
        wait_for_a_broker(&settings.kafka, options, cancelled).map_err(Failure::failed)?;
    }
    ReadModel::open(&settings.data_dir).map_err(Failure::failed)
}

/// Becomes true at the first SIGINT or SIGTERM.
pub(super) fn cancelled_by_signal() -> Result<Stop, Failure> {
    let cancelled = Stop::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))?;
    let seen = cancelled.clone();
    // Never joined: it ends with the process.
    thread::spawn(move || {
        runtime.block_on(shutdown_signal());
        seen.request();
    });
    Ok(cancelled)
}

fn as_json(report: &ReplayReport) -> Value {
    json!({
        "generation": report.generation,
        "path": report.path,
        "published": report.published,
        "events": report.events,
        "duplicates": report.duplicates,
        "digest": report.digest.to_string(),
        "bytes_on_disk": report.bytes_on_disk,
        "elapsed_s": report.elapsed.as_secs_f64(),
        "resumed": report.resumed,
        "quarantine_keys": report.quarantine.keys().count(),
        "quarantine_events": report.quarantine.events(),
        "set_aside": report.checkpoint.set_aside(),
        "compared": compared(report),
        "retired": report.retired,
    })
}

fn as_text(report: &ReplayReport) -> String {
    let elapsed_s = report.elapsed.as_secs_f64();
    let parked = match report.quarantine.keys().count() {
        0 => String::new(),
        keys => format!(
            "\n{} events of {keys} keys wait in quarantine: `projector --status` lists them",
            report.quarantine.events()
        ),
    };
    let set_aside: String = report.checkpoint.sources().filter_map(set_aside).collect();
    let published = if report.published { "published" } else { "not published" };
    format!(
        "{}: {} events in {elapsed_s:.1} s ({} repeated ones skipped), {} bytes on disk, {published}\ndigest {}\n{}{parked}{set_aside}",
        report.generation,
        report.events,
        report.duplicates,
        report.bytes_on_disk,
        report.digest,
        compared(report)
    )
}

/// A line for a partition of which records were set aside.
fn set_aside((source, at): (&SourceId, &SourceCheckpoint)) -> Option<String> {
    let SetAside { records, first_offset, .. } = at.set_aside;
    let end = if at.is_end_unproven() { "; its end is unproven until the next event" } else { "" };
    let line = format!(
        "\nof {source}, {records} records are set aside that are no events, the first at offset {first_offset}{end}"
    );
    (records > 0).then_some(line)
}

/// How it compares with what was published before, in a sentence.
fn compared(report: &ReplayReport) -> String {
    match &report.compared {
        Comparison::Nothing if !report.published => "not compared, since it is not published".to_owned(),
        Comparison::Nothing => "compared with nothing: none was published before".to_owned(),
        Comparison::NotComparable { reason, .. } => format!("not comparable: {reason}"),
        Comparison::NotCompared { reason, why } => format!("not compared, and accepted ({why}): {reason}"),
        Comparison::Equal { with, digest } => format!("the same as {with}, which has digest {digest}"),
        Comparison::Accepted { difference, why } => format!("different, and accepted ({why}): {difference}"),
    }
}
