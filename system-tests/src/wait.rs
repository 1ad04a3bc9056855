//! Waiting for a condition, with a deadline: nothing here sleeps and hopes.

use std::time::{Duration, Instant};

/// Longest wait for anything in these tests; ample, because only a failing test ever waits that long.
pub const DEADLINE: Duration = Duration::from_secs(90);
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(20);

/// Looks until `condition` gives a value; panics with `what` after [`DEADLINE`].
#[track_caller]
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {} s: {what}", DEADLINE.as_secs());
        std::thread::sleep(POLL);
    }
}
