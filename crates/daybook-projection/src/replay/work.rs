//! What all threads of one replay share.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use daybook_service::Stop;

use crate::codec::RowError;
use crate::external_sort::Journal;
use crate::replay::begin::next_run;
use crate::replay::options::{ReplayError, ReplayOptions};
use crate::replay::progress::Meter;
use crate::store::StoreError;

/// What all readers together may have fetched ahead, on top of the memory for sorting: half as much as that, within these
/// bounds. With less, readers and librdkafka's threads wait for each other (measured on two cores, 10 million events: a
/// sixth slower with 96 MiB than with 256 MiB).
const FETCH_BYTES: RangeInclusive<usize> = 96 << 20..=256 << 20;
/// Priority of a replay's threads, as of `nice`: a small part of the processor beside a thread of the default priority.
const NICE: i32 = 15;
pub(super) const RUN_SUFFIX: &str = ".run";

pub(super) struct Work<'w> {
    pub(super) meter: Meter,
    pub(super) throttle: Throttle,
    /// What each reader may have fetched ahead.
    pub(super) fetch_bytes_max: usize,
    cancelled: &'w Stop,
    failed: Stop,
    /// Names of all runs, in the order of writing.
    runs: Mutex<Vec<String>>,
    build: PathBuf,
    next_run: AtomicU64,
}

impl<'w> Work<'w> {
    pub(super) fn new(
        options: &ReplayOptions,
        build: PathBuf,
        journal: &Journal,
        cancelled: &'w Stop,
    ) -> Result<Self, StoreError> {
        let next_run = next_run(&build, &[&journal.runs[..], &journal.parked].concat())?;
        let fetch_bytes = (options.memory_bytes_max / 2).clamp(*FETCH_BYTES.start(), *FETCH_BYTES.end());
        let meter = Meter::default();
        meter.done.store(journal.checkpoint.records(), Ordering::Relaxed);
        Ok(Self {
            meter,
            throttle: Throttle::new(options.rate_max),
            fetch_bytes_max: fetch_bytes / options.threads.max(1),
            cancelled,
            failed: Stop::default(),
            runs: Mutex::new(journal.runs.clone()),
            build,
            next_run: AtomicU64::new(next_run),
        })
    }

    /// Set when one of the threads has failed.
    pub(super) fn failure(&self) -> Stop {
        self.failed.clone()
    }

    pub(super) fn runs(&self) -> Vec<String> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_runs(&self, runs: Vec<String>) {
        *self.runs.lock().unwrap_or_else(PoisonError::into_inner) = runs;
    }

    pub(super) fn add_run(&self, path: &Path) {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).push(run_name(path));
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.requested()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_cancelled() || self.failed.requested()
    }

    pub(super) fn next_run(&self) -> PathBuf {
        self.build.join(format!("{:06}{RUN_SUFFIX}", self.next_run.fetch_add(1, Ordering::Relaxed)))
    }

    pub(super) fn unwritable(&self, error: &RowError) -> StoreError {
        StoreError::new("write", &self.build, error)
    }

    pub(super) fn noting_failure<T>(&self, result: Result<T, ReplayError>) -> Result<T, ReplayError> {
        result.inspect_err(|_| self.failed.request())
    }
}

/// Makes this thread wait for others. A rebuild is background work, as is reading all rows to compare them: where the processor is short, those who answer requests come first. Threads started by
/// this one, as librdkafka's are, inherit it.
pub fn lower_priority() {
    // On Linux, no process id stands for the calling thread.
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!("a thread keeps its priority: {error}");
    }
}

/// How the journal names a run.
pub(super) fn run_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// How far ahead of an even pace a burst may be.
const BURST: Duration = Duration::from_millis(100);
/// Longest sleep before checking again whether to stop, or whether the rate was changed.
const POLL_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Throttle(Mutex<State>);

#[derive(Debug)]
struct State {
    rate: Option<u64>,
    /// When everything so far would have been read at an even pace.
    even: Instant,
}

impl Throttle {
    pub(super) fn new(rate: Option<u64>) -> Self {
        Self(Mutex::new(State { rate, even: Instant::now() }))
    }

    /// Changes the rate; `None` for no limit.
    pub(super) fn set(&self, rate: Option<u64>) {
        let mut state = self.lock();
        if state.rate != rate {
            *state = State { rate, even: Instant::now() };
        }
    }

    /// Notes that so many records were read, and waits if that was too fast; no longer than until `stop` says so.
    pub(super) fn pace(&self, records: u64, stop: impl Fn() -> bool) {
        self.take(records);
        loop {
            let ahead = self.lock().ahead();
            if ahead <= BURST || stop() {
                return;
            }
            thread::sleep((ahead - BURST).min(POLL_EVERY));
        }
    }

    fn take(&self, records: u64) {
        let mut state = self.lock();
        let Some(rate) = state.rate else { return };
        let time = Duration::from_secs_f64(records as f64 / rate.max(1) as f64);
        state.even = state.even.max(Instant::now()) + time;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ahead(&self) -> Duration {
        match self.rate {
            Some(_) => self.even.saturating_duration_since(Instant::now()),
            None => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn it_waits_until_it_is_to_stop_or_the_limit_goes() {
        let throttle = Throttle::new(Some(1));
        let checks = AtomicUsize::new(0);
        // A thousand seconds at this rate; it ends because `stop` says so.
        throttle.pace(1_000, || checks.fetch_add(1, Ordering::Relaxed) == 2);
        assert_eq!(checks.load(Ordering::Relaxed), 3);
        // And it ends because the limit is gone.
        throttle.pace(1_000, || {
            throttle.set(None);
            false
        });
        throttle.pace(u64::MAX, || panic!("nothing to wait for"));
    }
}
