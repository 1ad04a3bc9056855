//! What all threads of one replay share.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use daybook_service::Stop;

use super::options::{ReplayError, ReplayOptions};
use super::progress::Meter;
use super::throttle::Throttle;
use crate::codec::RowError;
use crate::store::StoreError;

/// What all readers together may have fetched ahead, on top of the memory for sorting: half as much as that, within these
/// bounds. With less, readers and librdkafka's threads wait for each other (measured on two cores, 10 million events: a
/// sixth slower with 96 MiB than with 256 MiB).
const FETCH_BYTES: RangeInclusive<usize> = 96 << 20..=256 << 20;
/// Priority of a replay's threads, as of `nice`: a small part of the processor beside a thread of the default priority.
const NICE: i32 = 15;
/// How the files of runs end.
pub(super) const RUN_SUFFIX: &str = ".run";

/// What all threads of a build share.
pub(super) struct Work<'w> {
    pub(super) meter: Meter,
    pub(super) throttle: Throttle,
    /// What each reader may have fetched ahead.
    pub(super) fetch_bytes_max: usize,
    cancelled: &'w Stop,
    /// One of the threads has failed.
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
        runs: Vec<String>,
        next_run: u64,
        done_before: u64,
        cancelled: &'w Stop,
    ) -> Self {
        let fetch_bytes = (options.memory_bytes_max / 2).clamp(*FETCH_BYTES.start(), *FETCH_BYTES.end());
        let meter = Meter::default();
        meter.done.store(done_before, Ordering::Relaxed);
        Self {
            meter,
            throttle: Throttle::new(options.rate_max),
            fetch_bytes_max: fetch_bytes / options.threads.max(1),
            cancelled,
            failed: Stop::default(),
            runs: Mutex::new(runs),
            build,
            next_run: AtomicU64::new(next_run),
        }
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

    /// Notes a run that has been written.
    pub(super) fn add_run(&self, path: &Path) {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).push(run_name(path));
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.requested()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_cancelled() || self.failed.requested()
    }

    /// Name of the next run.
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
