//! Waiting for any of several queues.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Set by librdkafka's threads whenever an empty queue gets something. The reader clears it, looks into every queue,
/// and only then waits for it: what arrives during the look is not missed.
#[derive(Default)]
pub(super) struct Wake {
    set: Mutex<bool>,
    changed: Condvar,
}

impl Wake {
    pub(super) fn setter(self: &Arc<Wake>) -> impl Fn() + Send + Sync + 'static {
        let wake = Arc::clone(self);
        move || {
            *wake.lock() = true;
            wake.changed.notify_one();
        }
    }

    pub(super) fn clear(&self) {
        *self.lock() = false;
    }

    /// Returns whether it was set before the deadline.
    pub(super) fn wait_until(&self, deadline: Instant) -> bool {
        let mut set = self.lock();
        while !*set {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            set = self.changed.wait_timeout(set, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
