//! A bound on the records read per second, over all threads; it can be changed at any time.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How far ahead of an even pace a burst may be.
const BURST: Duration = Duration::from_millis(100);
/// Longest sleep before looking again whether to stop, or whether the rate was changed.
const LOOK_EVERY: Duration = Duration::from_millis(50);

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
            thread::sleep((ahead - BURST).min(LOOK_EVERY));
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
    fn it_waits_until_told_otherwise() {
        let throttle = Throttle::new(Some(1));
        let looks = AtomicUsize::new(0);
        // A thousand seconds at this rate; it ends because it is told to.
        throttle.pace(1_000, || looks.fetch_add(1, Ordering::Relaxed) == 2);
        assert_eq!(looks.load(Ordering::Relaxed), 3);
        // And it ends because the limit is gone.
        throttle.pace(1_000, || {
            throttle.set(None);
            false
        });
        throttle.pace(u64::MAX, || panic!("nothing to wait for"));
    }
}
