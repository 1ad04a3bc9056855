//! Counts what was accepted and not yet reported.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Records accepted and not yet reported. librdkafka's own flush is not used: it runs deliveries on the calling thread
/// beside the polling thread, which would mix up their order.
#[derive(Default)]
pub(super) struct Outstanding {
    count: Mutex<usize>,
    none: Condvar,
}

impl Outstanding {
    pub(super) fn add(&self) {
        *self.lock() += 1;
    }

    pub(super) fn remove(&self) {
        let mut count = self.lock();
        *count -= 1;
        if *count == 0 {
            self.none.notify_all();
        }
    }

    /// The number left if that is not none after `timeout`.
    pub(super) fn wait_for_none(&self, timeout: Duration) -> Result<(), usize> {
        let deadline = Instant::now() + timeout;
        let mut count = self.lock();
        while *count > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(*count);
            }
            count = self.none.wait_timeout(count, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
