//! Whether this process itself stood still: it got SIGSTOP, or no processor. (While a machine is suspended this clock may stand
//! still, too.)

use std::time::{Duration, Instant};

/// If two looks are further apart, of somebody who looks again and again, the process itself stood still.
pub const STOOD_STILL_AFTER: Duration = Duration::from_secs(5);

/// Looks again and again. Its own work, or a disk that does not answer, looks the same where it takes as long.
#[derive(Debug)]
pub struct Standstill {
    looked_at: Instant,
}

impl Standstill {
    /// The first look.
    #[must_use]
    pub fn first_look(now: Instant) -> Self {
        Self { looked_at: now }
    }

    /// Looks; returns how long the process stood still since the look before, if it did.
    pub fn look(&mut self, now: Instant) -> Option<Duration> {
        let since = now.saturating_duration_since(self.looked_at);
        self.looked_at = now;
        (since > STOOD_STILL_AFTER).then_some(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_look_behind_a_standstill_tells_it() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut standstill = Standstill::first_look(began);
        let told = [4, 9, 15, 16].map(|seconds| standstill.look(at(seconds)));
        assert_eq!(told, [None, None, Some(Duration::from_secs(6)), None]);
    }
}
