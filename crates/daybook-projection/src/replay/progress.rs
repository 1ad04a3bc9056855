//! How far a replay is: counted by its threads, reported by the one that waits for them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Reading,
    Writing,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayProgress {
    pub generation: String,
    pub phase: Phase,
    /// Records read, those of an earlier start included.
    pub done: u64,
    /// Records to read: from offset zero to the end offsets seen at the start.
    pub total: u64,
    pub folded: u64,
    /// Changes to fold; 0 until all records have been read.
    pub to_fold: u64,
    /// Records read per second by this process; while rows are written, the mean over the reading.
    pub events_per_s: f64,
    /// Seconds to go at the pace so far; none at the very start.
    pub eta_s: Option<f64>,
    /// Memory of the whole process, in bytes; none where the system does not say.
    pub memory_bytes: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Meter {
    pub(super) done: AtomicU64,
    pub(super) folded: AtomicU64,
    pub(super) to_fold: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Pace {
    pub(super) generation: String,
    pub(super) total: u64,
    pub(super) done_before: u64,
    pub(super) began: Instant,
    pub(super) reading_took: Option<Duration>,
}

impl Pace {
    pub(super) fn progress(&self, meter: &Meter) -> ReplayProgress {
        let (done, folded) = (meter.done.load(Ordering::Relaxed), meter.folded.load(Ordering::Relaxed));
        let to_fold = meter.to_fold.load(Ordering::Relaxed);
        let elapsed = self.began.elapsed();
        let reading_s = self.reading_took.unwrap_or(elapsed).as_secs_f64();
        let read_now = done.saturating_sub(self.done_before);
        let events_per_s = if reading_s > 0.0 { read_now as f64 / reading_s } else { 0.0 };
        ReplayProgress {
            generation: self.generation.clone(),
            phase: if self.reading_took.is_some() { Phase::Writing } else { Phase::Reading },
            done,
            total: self.total,
            folded,
            to_fold,
            events_per_s,
            eta_s: self.eta_s(elapsed, read_now, done, folded, to_fold),
            memory_bytes: memory_bytes(),
        }
    }

    /// Folding a change takes about as long as reading a record, and there are about as many.
    fn eta_s(&self, elapsed: Duration, read_now: u64, done: u64, folded: u64, to_fold: u64) -> Option<f64> {
        let left_to_fold =
            if self.reading_took.is_some() { to_fold - folded.min(to_fold) } else { self.total };
        let left = self.total.saturating_sub(done) + left_to_fold;
        let worked = read_now + folded;
        (worked > 0).then(|| elapsed.as_secs_f64() * left as f64 / worked as f64)
    }
}

/// Resident memory of this process, from `/proc`.
fn memory_bytes() -> Option<u64> {
    const KIB: u64 = 1_024;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * KIB)
}
