//! Whether the clock was set forward: what is there grows no older by that until it is as old as any key has to become.

use std::time::{Duration, Instant};

use super::millis;

/// Smaller steps are a clock that is being corrected.
const STEP_MS_MIN: u64 = 60_000;

/// The system's clock beside one that nobody sets.
#[derive(Debug)]
pub(crate) struct Clock {
    /// Nothing is forgotten before it has been there for so long.
    age_min: Duration,
    /// Both when they were looked at last.
    last: Option<(Instant, u64)>,
    /// By how much the system's was set forward, in ms, and until when that is left out.
    ahead: Option<(u64, Instant)>,
}

impl Clock {
    /// Steps are left out for `age_min`: what was there before them is that old then.
    pub(crate) fn new(age_min: Duration) -> Self {
        Self { age_min, last: None, ahead: None }
    }

    /// How far the system's clock was set forward lately, in ms. `now_ms` is what it says at `now`.
    pub(crate) fn ahead_ms(&mut self, now_ms: u64, now: Instant) -> u64 {
        let before = self.last.replace((now, now_ms));
        let ahead = self.ahead.filter(|(_, until)| now < *until).map_or(0, |(ahead, _)| ahead);
        let Some((at, before_ms)) = before else { return ahead };
        let expected_ms = before_ms.saturating_add(millis(now.saturating_duration_since(at)));
        let step_ms = now_ms.saturating_sub(expected_ms);
        if step_ms >= STEP_MS_MIN {
            tracing::error!(
                step_s = step_ms / 1_000,
                "the clock was set forward; idempotency keys and kept events are not older by that until --idempotency-age-s-min has passed"
            );
            self.ahead = Some((ahead.saturating_add(step_ms), now + self.age_min));
        } else if ahead > 0 {
            let back_ms = expected_ms.saturating_sub(now_ms);
            self.ahead = self.ahead.map(|(ahead, until)| (ahead.saturating_sub(back_ms), until));
        }
        self.ahead.filter(|(_, until)| now < *until).map_or(0, |(ahead, _)| ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const YEAR_MS: u64 = 365 * 86_400_000;

    #[test]
    fn a_step_forward_is_left_out_until_what_was_there_before_is_old_enough() {
        let (mut clock, begin) = (Clock::new(DAY), Instant::now());
        let mut ahead = |wall_ms: u64, passed: Duration| clock.ahead_ms(wall_ms, begin + passed);
        assert_eq!(ahead(0, Duration::ZERO), 0);
        assert_eq!(ahead(10_000, Duration::from_secs(10)), 0);
        // Corrected by a little, then set by a year, and by another.
        assert_eq!(ahead(71_000, Duration::from_secs(20)), 0);
        assert_eq!(ahead(YEAR_MS + 72_000, Duration::from_secs(21)), YEAR_MS);
        assert_eq!(ahead(2 * YEAR_MS + 73_000, Duration::from_secs(22)), 2 * YEAR_MS);
        assert_eq!(ahead(2 * YEAR_MS + 3_651_000, Duration::from_secs(3_600)), 2 * YEAR_MS);
        assert_eq!(ahead(2 * YEAR_MS + 86_473_000, DAY + Duration::from_secs(22)), 0);
    }

    #[test]
    fn a_step_that_is_taken_back_is_forgotten() {
        let (mut clock, begin) = (Clock::new(DAY), Instant::now());
        let mut ahead =
            |wall_ms: u64, passed: u64| clock.ahead_ms(wall_ms, begin + Duration::from_secs(passed));
        assert_eq!(ahead(1_000_000, 0), 0);
        assert_eq!(ahead(1_000_000 + YEAR_MS, 1), YEAR_MS - 1_000);
        assert_eq!(ahead(1_002_000, 2), 0);
        assert_eq!(ahead(1_003_000, 3), 0);
    }
}
