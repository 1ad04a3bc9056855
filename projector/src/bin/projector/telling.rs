//! Tells progress on stderr: a bar on a terminal, JSON lines if asked for, else a line every few seconds.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use projector::kernel::ReplayProgress;
use serde_json::json;

/// Often enough to see that it moves, seldom enough for a log.
const LINE_EVERY: Duration = Duration::from_secs(5);
const BAR: &str = "{msg} [{bar:40}] {pos}/{len} records";

pub(crate) enum Telling {
    Bar(ProgressBar),
    Json,
    Lines { told: Option<Instant> },
}

impl Telling {
    pub(crate) fn new(json: bool) -> Self {
        if json {
            return Self::Json;
        }
        if !io::stderr().is_terminal() {
            return Self::Lines { told: None };
        }
        let bar = ProgressBar::new(0);
        // A template that does not parse would only cost the looks.
        bar.set_style(ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self::Bar(bar)
    }

    pub(crate) fn tell(&mut self, progress: &ReplayProgress) {
        match self {
            Self::Bar(bar) => {
                bar.set_length(progress.total);
                bar.set_position(progress.done);
                bar.set_message(rate(progress));
            }
            Self::Json => line(&as_json(progress)),
            Self::Lines { told } => {
                let last = progress.done == progress.total;
                if last || told.is_none_or(|told| told.elapsed() >= LINE_EVERY) {
                    *told = Some(Instant::now());
                    line(&format!("{} of {} records, {}", progress.done, progress.total, rate(progress)));
                }
            }
        }
    }

    pub(crate) fn end(self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn rate(progress: &ReplayProgress) -> String {
    let eta = progress.eta.map_or_else(|| "?".to_owned(), |eta| format!("{:.0} s", eta.as_secs_f64()));
    let rows_mib = progress.cache_bytes >> 20;
    format!("{} at {:.0}/s, {eta} to go, {rows_mib} MiB of rows", progress.generation, progress.events_per_s)
}

fn as_json(progress: &ReplayProgress) -> String {
    json!({
        "generation": progress.generation,
        "done": progress.done,
        "total": progress.total,
        "events_per_s": progress.events_per_s.round(),
        "eta_s": progress.eta.map(|eta| eta.as_secs_f64().ceil()),
        "cache_bytes": progress.cache_bytes,
    })
    .to_string()
}

fn line(text: &str) {
    // Progress that nobody reads is no reason to stop.
    drop(writeln!(io::stderr().lock(), "{text}"));
}
