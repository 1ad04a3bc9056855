//! Tells progress on stderr: a bar on a terminal, JSON lines if asked for, else a line every few seconds.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::{Phase, ReplayProgress};
use indicatif::{ProgressBar, ProgressStyle};

/// Often enough to see that it moves, seldom enough for a log.
const LINE_EVERY: Duration = Duration::from_secs(5);
const BAR: &str = "{msg} [{bar:40}]";

pub(super) enum ProgressReporter {
    Bar(ProgressBar),
    Json,
    Lines { reported: Option<Instant> },
}

impl ProgressReporter {
    pub(super) fn new(json: bool) -> Self {
        if json {
            return Self::Json;
        }
        if !io::stderr().is_terminal() {
            return Self::Lines { reported: None };
        }
        let bar = ProgressBar::new(0);
        // A template that does not parse would only cost the looks.
        bar.set_style(ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self::Bar(bar)
    }

    pub(super) fn report(&mut self, progress: &ReplayProgress) {
        match self {
            Self::Bar(bar) => {
                bar.set_length(progress.total + progress.to_fold);
                bar.set_position(progress.done + progress.folded);
                bar.set_message(shown(progress));
            }
            Self::Json => line(&as_json(progress)),
            Self::Lines { reported } => {
                let last = progress.done == progress.total && progress.folded == progress.to_fold;
                if last || reported.is_none_or(|reported| reported.elapsed() >= LINE_EVERY) {
                    *reported = Some(Instant::now());
                    line(&shown(progress));
                }
            }
        }
    }

    pub(super) fn end(self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn shown(progress: &ReplayProgress) -> String {
    let ReplayProgress { generation, done, total, folded, to_fold, events_per_s, .. } = progress;
    let eta = progress.eta_s.map_or_else(|| "?".to_owned(), |eta_s| format!("{eta_s:.0} s"));
    let memory = progress.memory_bytes.map_or_else(|| "?".to_owned(), |bytes| (bytes >> 20).to_string());
    let work = match progress.phase {
        Phase::Reading => format!("{done} of {total} records read at {events_per_s:.0}/s"),
        Phase::Writing => format!("{folded} of {to_fold} changes written"),
    };
    format!("{generation}: {work}, {eta} to go, {memory} MiB of memory")
}

fn as_json(progress: &ReplayProgress) -> String {
    // It has only text and numbers.
    serde_json::to_string(progress).unwrap_or_default()
}

fn line(text: &str) {
    // Progress that nobody reads is no reason to stop.
    drop(writeln!(io::stderr().lock(), "{text}"));
}
