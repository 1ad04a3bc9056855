//! When the committer looks whether the oldest segment of the journal is still needed, and what that depends on:
//! the clock, if nobody set it forward.

use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_journal::{AppendError, Retention, RetireError};

use crate::aggregate::Aggregate;
use crate::commit::seal::now_ms;
use crate::commit::{Committer, millis};
use crate::settings::Limits;
use crate::store::index;

/// Pause between two looks: far shorter than it takes to fill a segment.
pub(super) const CHECK_PAUSE: Duration = Duration::from_millis(100);
/// Segments removed at one look: enough to keep up, few enough that commands wait for milliseconds only.
const SEGMENTS_MAX: usize = 2;
/// Looks one after the other for room for keys, before they are refused for a moment.
const ROOM_TRIES_MAX: usize = 8;

#[derive(Debug)]
pub(crate) struct Retiring {
    retention: Retention,
    checked_at: Option<Instant>,
    /// When nothing could go although there was no room for keys.
    in_vain_at: Option<Instant>,
}

impl Retiring {
    pub(crate) fn new(limits: &Limits) -> Self {
        let retention = Retention {
            journal_bytes_max: limits.journal_bytes_max,
            // The rest is for what Kafka does not have, and for keys.
            kept_bytes_max: limits.kept_bytes_max.min(limits.journal_bytes_max / 4),
            kept_events_max: limits.kept_events_max,
            kept_age_ms_max: millis(limits.kept_age_max),
            key_age_ms_min: millis(limits.idempotency_age_min),
            key_age_ms_max: millis(limits.idempotency_age_max),
            clock_ahead_ms: 0,
            keys_max: limits.idempotency_keys_max,
        };
        Self { retention, checked_at: None, in_vain_at: None }
    }

    fn is_due(&mut self) -> bool {
        let due = self.checked_at.is_none_or(|at| at.elapsed() >= CHECK_PAUSE);
        if due {
            self.checked_at = Some(Instant::now());
        }
        due
    }
}

impl<A: Aggregate> Committer<A> {
    /// Removes segments that nothing needs any more. What stands in the way of that takes space, and no more.
    pub(super) fn retire(&mut self) {
        if self.retiring.is_due() {
            self.retire_now();
        }
    }

    /// Before a batch is decided: keys that are old enough make room for its own, however many have come since the last look.
    pub(super) fn make_room_for_keys(&mut self) {
        let in_vain = self.retiring.in_vain_at.is_some_and(|at| at.elapsed() < CHECK_PAUSE);
        if in_vain || !self.keys_are_full() {
            return;
        }
        // What goes first may have had no keys.
        let mut tries = 0..ROOM_TRIES_MAX;
        while self.keys_are_full() && tries.next().is_some() && self.index_is_level() && self.retire_now() > 0
        {
        }
        self.retiring.in_vain_at = self.keys_are_full().then(Instant::now);
    }

    /// Lets the index know of the last records, which may have nothing for it: a segment that ends with them does not go before.
    /// Every batch has been applied.
    fn index_is_level(&self) -> bool {
        let last = self.journal.last_number();
        let applied = index::apply(&self.store, last, self.journal.id(), index::batch(Vec::new()));
        match &applied {
            Ok(()) => self.syncing.applied(last),
            // The next batch meets it, too.
            Err(error) => tracing::error!(%error, "the store could not be written"),
        }
        applied.is_ok()
    }

    fn keys_are_full(&self) -> bool {
        self.reader.keys() as u64 >= self.retiring.retention.keys_max
    }

    /// Returns how many segments went.
    fn retire_now(&mut self) -> usize {
        let health = Arc::clone(&self.health);
        let _writing = health.writing();
        // Then keys are refused until some are forgotten, and what is not synced stands in the way of that.
        if self.keys_are_full()
            && let Err(error) = self.syncing.sync()
        {
            tracing::error!(%error, "the store could not be synced");
        }
        self.journal.index_synced(self.syncing.synced());
        let (acknowledged, now_ms) = (self.positions.snapshot().acknowledged, now_ms(&*self.ambient));
        self.retiring.retention.clock_ahead_ms = self.clock.ahead_ms(now_ms, Instant::now());
        for removed in 0..SEGMENTS_MAX {
            match self.journal.retire(&self.retiring.retention, &acknowledged, now_ms) {
                Ok(true) => {}
                // A journal that failed or has no room says so at the next command.
                Ok(false)
                | Err(RetireError::Append(AppendError::NoRoom { .. } | AppendError::Unusable(_))) => {
                    return removed;
                }
                Err(error) => {
                    tracing::warn!(%error, "a segment of the journal that is not needed could not be removed");
                    return removed;
                }
            }
        }
        SEGMENTS_MAX
    }
}

/// Smaller steps are a clock that is being corrected.
const STEP_MS_MIN: u64 = 60_000;

/// The system's clock beside one that nobody sets: where it was set forward, what is there grows no older by that until it is as
/// old as any key has to become.
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
