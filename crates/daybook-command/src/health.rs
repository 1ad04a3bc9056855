//! Whether commands can be written at present, for those who ask.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use daybook_service::STOOD_STILL_AFTER;

/// After so long without an answer of the disk, commands are refused at once.
const STUCK_AFTER: Duration = Duration::from_secs(10);
/// After so long the process ends: whoever starts it again may find another disk, or says where it hangs.
const HUNG_AFTER: Duration = Duration::from_secs(60);
/// Between two looks whether it answers.
pub(crate) const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Why journal or store cannot be written, as long as it is so.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failure: Mutex<Option<String>>,
    /// Why nothing can be written, although all can be read.
    no_room: Mutex<Option<String>>,
    asked: Mutex<Asked>,
}

/// What the disk is asked for. Whoever writes a group may remove segments in between: one guard ends within another.
#[derive(Debug, Default)]
struct Asked {
    guards: u32,
    since: Option<Instant>,
}

/// Held while the disk is at work.
pub(crate) struct Writing<'h>(&'h Health);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let mut asked = self.0.asked();
        asked.guards = asked.guards.saturating_sub(1);
        // It has just answered, and whoever holds another guard asks on.
        asked.since = (asked.guards > 0).then(Instant::now);
    }
}

impl Health {
    /// The committer: nothing can be written.
    pub(crate) fn failed(&self, failure: String) {
        *self.lock() = Some(failure);
    }

    /// The committer: nothing can be written, and what is there can be read.
    pub(crate) fn no_room(&self, reason: String) {
        *self.no_room.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    /// The committer: everything can be written again.
    pub(crate) fn well_again(&self) {
        *self.lock() = None;
        *self.no_room.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The committer: the disk is asked for something.
    pub(crate) fn writing(&self) -> Writing<'_> {
        let mut asked = self.asked();
        asked.guards += 1;
        asked.since = Some(Instant::now());
        drop(asked);
        Writing(self)
    }

    /// Why nothing can be written, or trusted that is read.
    pub(crate) fn failure(&self) -> Option<String> {
        self.lock().clone()
    }

    /// Why nothing can be written, although all can be read.
    pub(crate) fn full(&self) -> Option<String> {
        self.no_room.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says so if the disk has not answered for long.
    pub(crate) fn stuck(&self) -> Option<String> {
        let waited = self.waited().filter(|waited| *waited >= STUCK_AFTER)?;
        Some(format!("the disk has not answered for {} s", waited.as_secs()))
    }

    /// How long the disk has not answered, if that is longer than the process waits for it.
    pub(crate) fn hung(&self) -> Option<Duration> {
        self.waited().filter(|waited| *waited >= HUNG_AFTER)
    }

    /// Whoever looks, at `now`, and before at `then`: the time in which the process stood still does not count.
    pub(crate) fn looked(&self, then: Instant, now: Instant) {
        let apart = now.saturating_duration_since(then);
        if apart < STOOD_STILL_AFTER {
            return;
        }
        if let Some(since) = self.asked().since.as_mut() {
            *since = (*since + (apart - LOOK_PAUSE)).min(now);
        }
    }

    /// How long the disk has not answered what it was asked last, if it was asked anything.
    pub(crate) fn waited(&self) -> Option<Duration> {
        self.asked().since.map(|since| since.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_has_not_been_asked_while_the_process_stood_still() {
        let (health, began) = (Health::default(), Instant::now());
        let _writing = health.writing();
        health.asked().since = began.checked_sub(Duration::from_secs(62));
        let last_look = began.checked_sub(Duration::from_secs(61)).unwrap();
        health.looked(last_look, began);
        assert_eq!(health.hung(), None);
        assert_eq!(health.stuck(), None);
        // Waited before and after it is counted.
        health.asked().since = began.checked_sub(Duration::from_secs(92));
        health.looked(began.checked_sub(Duration::from_secs(30)).unwrap(), began);
        assert!(health.hung().is_some());
    }

    #[test]
    fn a_disk_that_does_not_answer_while_the_process_runs_hangs() {
        let (health, began) = (Health::default(), Instant::now());
        let _writing = health.writing();
        health.asked().since = began.checked_sub(Duration::from_secs(62));
        health.looked(began.checked_sub(LOOK_PAUSE).unwrap(), began);
        assert!(health.hung().is_some());
    }

    #[test]
    fn a_disk_that_hangs_behind_a_nested_write_hangs_all_the_same() {
        let (health, began) = (Health::default(), Instant::now());
        let writing = health.writing();
        drop(health.writing());
        assert!(health.waited().is_some(), "the outer one still asks");
        health.asked().since = began.checked_sub(Duration::from_secs(62));
        assert!(health.stuck().is_some() && health.hung().is_some());
        drop(writing);
        assert_eq!(health.waited(), None);
    }
}
