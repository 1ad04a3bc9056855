//! The first moments after a read model was opened: nobody is answered from before where it may have been before.
//!
//! Rows are on disk up to half a second after they were served, so one whose process was killed, or whose disk was full,
//! begins a little earlier than it ended. Whatever it answered from is in the log: who has projected what the log held at
//! the start has that again. Queries wait for it, but not for ever: a log that cannot be reached must not keep what is there
//! from being served.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use projector::kernel::State;
use schemas::problem::Problem;
use tokio::time::{Instant, sleep_until};

use super::refusal::Refusal;
use super::serving::Serving;

/// Whether queries may be answered, and until when they have to wait at most.
pub(super) struct FirstCatchUp {
    over: AtomicBool,
    until: Instant,
}

impl FirstCatchUp {
    /// Queries wait for `wait_max` from now on at most.
    pub(super) fn begin(wait_max: Duration) -> Self {
        Self { over: AtomicBool::new(false), until: Instant::now() + wait_max }
    }

    /// Whether queries are answered at once.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Waits until queries may be answered, for `wait` at most.
    ///
    /// # Errors
    /// 503 past `wait`.
    pub(super) async fn pass(&self, serving: &Serving, wait: Duration) -> Result<(), Refusal> {
        let mut progress = serving.progress.clone();
        tokio::select! {
            biased;
            // An error: another generation has taken over, which is not behind.
            _ = progress.wait_for(|now| !matches!(now.state, State::Building)) => {}
            () = sleep_until(self.until) => tracing::warn!(
                "the end of the log was not reached in time: queries are answered from what there is"
            ),
            () = sleep_until(Instant::now() + wait) => return Err(catching_up(serving)),
        }
        self.over.store(true, Ordering::Relaxed);
        Ok(())
    }
}

fn catching_up(serving: &Serving) -> Refusal {
    let detail = "the read model has just been opened and is not yet where it may have been when its process ended; come again \
                  after Retry-After";
    let problem = Problem::new(503, "catching-up", "The read model is catching up", detail);
    match serving.progress.borrow().lag_total() {
        Some(lag) => problem.with("lag_total", lag).into(),
        None => problem.into(),
    }
}
