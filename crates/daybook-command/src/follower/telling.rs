//! What the follower says in the log of why it does not follow: when it begins, once a minute from then on, and when it is
//! over.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use daybook_service::{Repeated, and_more, kind};

/// What the follower has said.
#[derive(Debug, Default)]
pub(crate) struct Telling(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    said: Repeated,
    /// Since when it fails again and again.
    since: Option<Instant>,
}

impl Telling {
    /// It has failed, and is tried again.
    pub(super) fn fails(&self, reason: &str) {
        let left_out = self.0.lock().unwrap_or_else(PoisonError::into_inner).fails(reason, Instant::now());
        if let Some(left_out) = left_out {
            tracing::warn!("not following: {reason}; trying again{}", and_more(left_out));
        }
    }

    /// Everything is followed again.
    pub(super) fn goes_on(&self) {
        let over = self.0.lock().unwrap_or_else(PoisonError::into_inner).goes_on(Instant::now());
        if let Some((lasted, left_out)) = over {
            tracing::info!(after_s = lasted.as_secs(), "following goes on{}", and_more(left_out));
        }
    }
}

impl Said {
    /// With how many others that were left out it is to be said now, if it is.
    fn fails(&mut self, reason: &str, now: Instant) -> Option<u64> {
        self.since.get_or_insert(now);
        self.said.say(&kind("fails", reason), now)
    }

    /// The same of the end, if anything has failed; and how long it lasted.
    fn goes_on(&mut self, now: Instant) -> Option<(Duration, u64)> {
        let lasted = now.saturating_duration_since(self.since.take()?);
        Some((lasted, self.said.say("goes on", now)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_for_minutes_is_said_once_a_minute_and_when_it_is_over() {
        let (mut said, began) = (Said::default(), Instant::now());
        let at = |ms| began + Duration::from_millis(ms);
        assert_eq!(said.goes_on(at(0)), None, "nothing has failed");
        let lines: Vec<_> = (0..240).filter_map(|tried| said.fails("a page", at(tried * 500))).collect();
        assert_eq!(lines, [0, 119]);
        assert_eq!(said.fails("no broker", at(120_000)), Some(0), "another reason hides behind none");
        assert_eq!(said.goes_on(at(130_000)), Some((Duration::from_secs(130), 0)));
        assert_eq!(said.goes_on(at(131_000)), None, "it is over");
    }
}
