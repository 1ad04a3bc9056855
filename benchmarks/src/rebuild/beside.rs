//! What a replay does to those who read meanwhile: reads per second without and with one in the same directory.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use daybook_projection::ReplayProgress;
use tempfile::TempDir;

use super::child::Report;
use super::process::{self, Process};
use super::{Bench, Log};
use crate::Outcome;
use crate::figures::{grouped, median};
use crate::reads::Serving;

impl Bench<'_> {
    /// Measures both in turn.
    pub(super) async fn beside(&mut self, log: &mut Log) -> Outcome {
        let directory = TempDir::with_prefix("daybook-rebuild-")?;
        let built = process::replay(log, directory.path(), self.flags.memory)?;
        self.check_digest(log, &built);
        let d = Serving::start(&log.loaded, directory.path()).await?;
        // Whoever measures first would otherwise pay for what is not in memory yet.
        d.rate(self.scale.seconds).await?;
        let (mut without, mut with, mut replays) = (Vec::new(), Vec::new(), 0.0);
        for run in 1..=self.scale.runs {
            without.push(d.rate(self.scale.seconds).await?);
            let replaying = Replaying::start(log, directory.path().to_owned(), self.flags.memory);
            with.push(d.rate(self.scale.seconds).await?);
            replays += replaying.stop()?;
            eprintln!("reads: run {run} of {}", self.scale.runs);
        }
        let ratio = median(with.iter().zip(&without).map(|(with, without)| with / without).collect());
        let reads = |rates| format!("{} reads/s", grouped(median(rates) as u64));
        self.table.row("reads of query-api", &log.name, &reads(without), "64 clients, random users");
        let remark = format!(
            "{ratio:.2} of those without; {replays:.1} replays in {} s",
            self.scale.seconds * self.scale.runs as u64
        );
        self.table.row("reads of query-api beside a replay", &log.name, &reads(with), &remark);
        Ok(())
    }
}

/// Replays one after the other, until asked to stop.
struct Replaying {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Outcome<f64>>,
}

impl Replaying {
    fn start(log: &Log, data_dir: PathBuf, memory: usize) -> Self {
        let (stop, kafka) = (Arc::new(AtomicBool::new(false)), log.loaded.kafka.clone());
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut replays = 0.0;
            while !stopped.load(Ordering::Relaxed) {
                replays += work(Process::replay(&kafka, &data_dir, memory)?, &stopped)?;
            }
            Ok(replays)
        });
        Self { stop, thread }
    }

    /// Kills the one at work; returns how many replays' worth of work was done.
    fn stop(self) -> Outcome<f64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Listens to one replay until its end or `stopped`; returns which part of a whole replay it has done meanwhile.
fn work(mut replay: Process, stopped: &AtomicBool) -> Outcome<f64> {
    let (mut work, mut before) = (0.0, None);
    while let Some(report) = replay.next()? {
        if let Report::Progress(now) = report {
            // What an earlier start has left shows when the phase begins, and is no work of this one.
            if let Some(before) = before.filter(|before: &ReplayProgress| before.to_fold == now.to_fold) {
                work += part(&now) - part(&before);
            }
            before = Some(now);
        }
        if stopped.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(work)
}

/// How far a replay is, reading and writing weighed alike.
fn part(progress: &ReplayProgress) -> f64 {
    let of = |done: u64, total: u64| if total == 0 { 0.0 } else { done as f64 / total as f64 };
    (of(progress.done, progress.total) + of(progress.folded, progress.to_fold)) / 2.0
}
