//! What the relay waits for: events to send, deliveries, the stop.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::positions::{Look, Positions, Wait};

impl Positions {
    /// The service stops: the relay goes on until everything is acknowledged, at the latest until `by`.
    pub(crate) fn stop(&self, by: Instant) {
        self.lock().stop_by = Some(by);
        self.changed.notify_all();
    }

    /// Whether the service stops, and its time is over or Kafka has all that can be sent.
    pub(crate) fn is_over(&self) -> bool {
        self.lock().is_over(Instant::now())
    }

    /// How things stand, without waiting.
    pub(crate) fn look(&self) -> Look {
        self.lock().look(Instant::now())
    }

    /// Waits until there is something for the relay to do.
    pub(crate) fn wait(&self, wait: Wait<'_>) -> Look {
        let deadline = Instant::now() + wait.timeout;
        let mut state = self.lock();
        let limits = state.limits(wait);
        state.begin_waiting(wait);
        while !state.something_to_do(wait, &limits) {
            let left = state.time_left(deadline, Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.awaited.fill(false);
        state.look(Instant::now())
    }

    /// Waits for the time of `pause`, but not beyond the time by which the service stops, nor with nothing to send at a stop.
    pub(crate) fn pause(&self, pause: Duration) {
        let deadline = Instant::now() + pause;
        let mut state = self.lock();
        loop {
            let left = state.time_left(deadline, Instant::now());
            if left.is_zero() || state.is_over(Instant::now()) {
                return;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the stop, at most so long; returns whether it has been asked for.
    pub(crate) fn wait_for_stop(&self, timeout: Duration) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, timeout, |state| state.stop_by.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.stop_by.is_some()
    }
}
