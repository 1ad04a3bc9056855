//! When the committer looks whether the oldest segment of the journal is still needed, and what that depends on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_journal::{AppendError, Retention, RetireError};

use super::{Committer, millis};
use crate::aggregate::Aggregate;
use crate::ambient::now_ms;
use crate::index;
use crate::settings::Limits;

/// Pause between two looks: far shorter than it takes to fill a segment.
pub(super) const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// Segments removed at one look: enough to keep up, few enough that commands wait for milliseconds only.
const SEGMENTS_MAX: usize = 2;
/// Looks one after the other for room for keys, before they are refused for a moment.
const ROOM_TRIES_MAX: usize = 8;

/// The bounds of the journal, and when they were looked at.
#[derive(Debug)]
pub(crate) struct Retiring {
    retention: Retention,
    looked_at: Option<Instant>,
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
        Self { retention, looked_at: None, in_vain_at: None }
    }

    fn is_due(&mut self) -> bool {
        let due = self.looked_at.is_none_or(|at| at.elapsed() >= LOOK_PAUSE);
        if due {
            self.looked_at = Some(Instant::now());
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

    /// Before a group is decided: keys that are old enough make room for its own, however many have come since the last look.
    pub(super) fn make_room_for_keys(&mut self) {
        let in_vain = self.retiring.in_vain_at.is_some_and(|at| at.elapsed() < LOOK_PAUSE);
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
    /// Every group has been applied.
    fn index_is_level(&self) -> bool {
        let last = self.journal.last_number();
        let applied = index::apply(&self.store, last, self.journal.id(), index::batch(Vec::new()));
        match &applied {
            Ok(()) => self.syncing.applied(last),
            // The next group meets it, too.
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
        let (acknowledged, now_ms) = (self.positions.look().acknowledged, now_ms(&*self.ambient));
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
