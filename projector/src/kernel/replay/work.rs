//! What all threads of one replay share.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::options::{ReplayError, ReplayOptions};
use super::progress::Meter;
use super::throttle::Throttle;

/// What all readers together may have fetched ahead; it comes on top of the memory for sorting.
const FETCH_BYTES_MAX: usize = 96 << 20;
/// Priority of a replay's threads, as of `nice`: about a tenth of the processor beside a thread of the default priority.
const NICE: i32 = 10;
/// How the files of runs end.
pub(super) const RUN_SUFFIX: &str = ".run";

/// What all threads of a build share.
pub(super) struct Work<'w> {
    pub(super) meter: Meter,
    pub(super) throttle: Throttle,
    /// What each reader may have fetched ahead.
    pub(super) fetch_bytes_max: usize,
    cancelled: &'w AtomicBool,
    /// One of the threads has failed.
    failed: AtomicBool,
    build: PathBuf,
    next_run: AtomicU64,
}

impl<'w> Work<'w> {
    pub(super) fn new(
        options: &ReplayOptions,
        build: PathBuf,
        next_run: u64,
        done_before: u64,
        cancelled: &'w AtomicBool,
    ) -> Self {
        let meter = Meter::default();
        meter.done.store(done_before, Ordering::Relaxed);
        Self {
            meter,
            throttle: Throttle::new(options.rate_max),
            fetch_bytes_max: FETCH_BYTES_MAX / options.threads.max(1),
            cancelled,
            failed: AtomicBool::new(false),
            build,
            next_run: AtomicU64::new(next_run),
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_cancelled() || self.failed.load(Ordering::Relaxed)
    }

    /// Name of the next run.
    pub(super) fn next_run(&self) -> PathBuf {
        self.build.join(format!("{:06}{RUN_SUFFIX}", self.next_run.fetch_add(1, Ordering::Relaxed)))
    }

    pub(super) fn noting_failure<T>(&self, result: Result<T, ReplayError>) -> Result<T, ReplayError> {
        result.inspect_err(|_| self.failed.store(true, Ordering::Relaxed))
    }
}

/// A rebuild is background work: where the processor is short, those who answer requests come first. Threads started by
/// this one, as librdkafka's are, inherit it.
pub(super) fn lower_priority() {
    // On Linux, no process id stands for the calling thread.
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!("a replay's thread keeps its priority: {error}");
    }
}

/// How the journal names a run.
pub(super) fn run_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
