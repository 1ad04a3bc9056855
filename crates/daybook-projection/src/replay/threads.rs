//! The thread that waits for the others of a build: it tells progress meanwhile, and takes their results.

use std::thread;
use std::time::{Duration, Instant};

use daybook_event::event_data::EventData;

use super::build::Build;
use super::options::ReplayError;
use super::progress::{Pace, ReplayProgress};
use crate::store::StoreError;

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// Makes runs durable, in a thread that ends before this does: a build that is given up and begun again in the same directory must
/// have nobody who still writes the journal of the one before.
pub(super) struct Syncing(Option<thread::JoinHandle<Result<(), StoreError>>>);

impl Syncing {
    pub(super) fn start(sync: impl FnOnce() -> Result<(), StoreError> + Send + 'static) -> Self {
        Self(Some(thread::spawn(sync)))
    }
}

impl Drop for Syncing {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // Whoever gives a build up has a reason of its own.
            let _ = thread.join();
        }
    }
}

impl<E: EventData> Build<'_, E> {
    /// Tells progress a few times a second, and passes on what is asked of the build meanwhile.
    pub(super) fn tell_until(
        &self,
        done: impl Fn() -> bool,
        pace: &Pace,
        on_progress: &mut impl FnMut(ReplayProgress),
    ) {
        let mut told = Instant::now();
        while !done() {
            thread::park_timeout(TELL_EVERY / 10);
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                let progress = pace.progress(&self.work.meter);
                if let Some(read_model) = self.control {
                    read_model.show_progress(&progress);
                    read_model.rate().into_iter().for_each(|rate| self.work.throttle.set(rate));
                }
                on_progress(progress);
            }
        }
    }

    pub(super) fn check_cancelled(&self) -> Result<(), ReplayError> {
        if !self.work.is_cancelled() {
            return Ok(());
        }
        Err(ReplayError::Cancelled { done: self.checkpoint().records(), total: self.pace.total })
    }
}

/// Waits until all runs are durable.
pub(super) fn wait(syncing: Option<Syncing>) -> Result<(), ReplayError> {
    let Some(thread) = syncing.and_then(|mut syncing| syncing.0.take()) else { return Ok(()) };
    Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?)
}

/// The thread's result; its panic is ours.
pub(super) fn join<T>(
    thread: thread::ScopedJoinHandle<'_, Result<T, ReplayError>>,
) -> Result<T, ReplayError> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
