//! What the follower says in the log of why it does not follow: when it begins, once a minute from then on, and when it is
//! over.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use daybook_service::LogOnce;

#[derive(Debug, Default)]
pub(crate) struct Telling {
    said: LogOnce,
    /// Since when it fails again and again.
    since: Mutex<Option<Instant>>,
}

impl Telling {
    pub(super) fn fails(&self, reason: &str) {
        if let Some(more) = self.fails_at(reason, Instant::now()) {
            tracing::warn!("not following: {reason}; trying again{more}");
        }
    }

    pub(super) fn goes_on(&self) {
        if let Some((lasted, more)) = self.goes_on_at(Instant::now()) {
            tracing::info!(after_s = lasted.as_secs(), "following goes on{more}");
        }
    }

    fn fails_at(&self, reason: &str, now: Instant) -> Option<String> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(now);
        self.said.say_like_at("fails", reason, now)
    }

    /// If anything has failed, how long it lasted.
    fn goes_on_at(&self, now: Instant) -> Option<(Duration, String)> {
        let since = self.since.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some((now.saturating_duration_since(since), self.said.say_at("goes on", now)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_for_minutes_is_said_once_a_minute_and_when_it_is_over() {
        let (said, began) = (Telling::default(), Instant::now());
        let at = |ms| began + Duration::from_millis(ms);
        assert_eq!(said.goes_on_at(at(0)), None, "nothing has failed");
        let lines: Vec<_> = (0..240).filter_map(|tried| said.fails_at("a page", at(tried * 500))).collect();
        assert_eq!(lines, ["", " (119 more of this kind before)"]);
        let other = said.fails_at("no broker", at(120_000));
        assert_eq!(other.as_deref(), Some(""), "another reason hides behind none");
        assert_eq!(said.goes_on_at(at(130_000)), Some((Duration::from_secs(130), String::new())));
        assert_eq!(said.goes_on_at(at(131_000)), None, "it is over");
    }
}
