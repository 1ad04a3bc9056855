//! Keeps a follower from moving for a bounded while, so that its generation can be compared at one place in the log.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a held follower looks whether it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Asks one follower to stand still. Clones speak to the same one.
#[derive(Debug, Clone, Default)]
pub struct Hold(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    /// Until when it is to stand still.
    until: Option<Instant>,
    /// It does, with everything committed.
    standing: bool,
    /// It does not move by itself.
    ended: bool,
}

impl Hold {
    /// Asks the follower to stand still for at most `time` from now on, and waits until it does; `false` if it does not
    /// within `wait`.
    #[must_use]
    pub fn hold(&self, time: Duration, wait: Duration) -> bool {
        let mut state = self.lock();
        state.until = Some(Instant::now() + time);
        self.0.1.notify_all();
        let moves = |state: &mut State| !state.standing && !state.ended;
        let waited = self.0.1.wait_timeout_while(state, wait, moves);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.standing || state.ended
    }

    /// Lets it go on.
    pub fn release(&self) {
        self.lock().until = None;
        self.0.1.notify_all();
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.lock().is_wanted()
    }

    /// Stands still until released, until the time is over, or until `stopping` says so.
    pub(super) fn stand(&self, stopping: impl Fn() -> bool) {
        let mut state = self.lock();
        state.standing = true;
        self.0.1.notify_all();
        while state.is_wanted() && !stopping() {
            let waited = self.0.1.wait_timeout(state, LOOK_EVERY);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.standing = false;
    }

    /// Notes that the follower has ended.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.0.1.notify_all();
    }

    /// Notes that it goes on after all; it must not while it is held.
    pub(super) fn go_on(&self) {
        self.lock().ended = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_wanted(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }
}
