//! Whether commands can be written at present, and why a service is not ready: told by `/health/ready` in words, and by
//! `/metrics` as figures of the same.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use daybook_service::STOOD_STILL_AFTER;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::command::CommandError;
use crate::outbox::positions::Shut;

/// After so long without an answer of the disk, commands are refused at once.
const STUCK_AFTER: Duration = Duration::from_secs(10);
/// After so long the process ends: whoever starts it again may find another disk, or says where it hangs.
const HUNG_AFTER: Duration = Duration::from_secs(60);
/// Between two looks whether it answers.
pub(crate) const CHECK_PAUSE: Duration = Duration::from_secs(1);

/// Why journal or store cannot be written, as long as it is so, and what the disk is asked for.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failure: Option<String>,
    /// Why nothing can be written, although all can be read.
    no_room: Option<String>,
    /// Whoever writes a group may remove segments in between: one guard ends within another.
    guards: u32,
    asked_at: Option<Instant>,
}

pub(crate) struct Writing<'h>(&'h Health);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.guards = state.guards.saturating_sub(1);
        // It has just answered, and whoever holds another guard asks on.
        state.asked_at = (state.guards > 0).then(Instant::now);
    }
}

impl Health {
    pub(crate) fn failed(&self, failure: String) {
        self.state().failure = Some(failure);
    }

    /// The committer: nothing can be written, and what is there can be read.
    pub(crate) fn no_room(&self, reason: String) {
        self.state().no_room = Some(reason);
    }

    pub(crate) fn recovered(&self) {
        let mut state = self.state();
        (state.failure, state.no_room) = (None, None);
    }

    /// The disk is at work for as long as what is returned lives.
    pub(crate) fn writing(&self) -> Writing<'_> {
        let mut state = self.state();
        state.guards += 1;
        state.asked_at = Some(Instant::now());
        drop(state);
        Writing(self)
    }

    /// Why nothing can be written, or trusted that is read.
    pub(crate) fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }

    /// Why nothing can be written, although all can be read.
    pub(crate) fn full(&self) -> Option<String> {
        self.state().no_room.clone()
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
    pub(crate) fn checked(&self, then: Instant, now: Instant) {
        let apart = now.saturating_duration_since(then);
        if apart < STOOD_STILL_AFTER {
            return;
        }
        if let Some(since) = self.state().asked_at.as_mut() {
            *since = (*since + (apart - CHECK_PAUSE)).min(now);
        }
    }

    /// How long the disk has not answered what it was asked last, if it was asked anything.
    pub(crate) fn waited(&self) -> Option<Duration> {
        self.state().asked_at.map(|since| since.elapsed())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) type Figure = Gauge<u64, AtomicU64>;
type ByReason = Family<ReasonLabel, Figure>;

/// Why the service is not ready: as `/metrics` names the reason, and as `/health/ready` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotReady {
    kind: &'static str,
    pub(crate) said: String,
}

const NOT_READY_KINDS: [&str; 8] = [
    "starting",
    "store-fails",
    "no-room",
    "disk-hangs",
    "relay-halted",
    "not-compared",
    "following-stopped",
    "catching-up",
];

impl NotReady {
    pub(crate) fn new(kind: &'static str, said: String) -> Self {
        debug_assert!(NOT_READY_KINDS.contains(&kind), "{kind} has no figure");
        Self { kind, said }
    }

    pub(crate) fn starting(how_far: &str) -> Self {
        Self::new("starting", format!("the service is starting: {how_far}"))
    }
}

/// All reasons as one text; none if the service is ready.
pub(crate) fn said(reasons: &[NotReady]) -> Option<String> {
    let said: Vec<_> = reasons.iter().map(|reason| &*reason.said).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

/// Why partitions of the own topic take no events, as a command that is refused for it says.
const SHUT_KINDS: [&str; 3] = ["outbox-full", "journal-full", "partition-away"];

/// What takes no events at present.
#[derive(Debug)]
pub(crate) struct Refusing {
    /// Why no partition does, if none does.
    pub(crate) all: Option<CommandError>,
    pub(crate) some: Shut,
    pub(crate) partitions: usize,
    pub(crate) has_unique_keys: bool,
}

impl Refusing {
    /// Why that is, if anything is refused.
    pub(crate) fn said(&self) -> Option<String> {
        self.all.as_ref().map(ToString::to_string).or_else(|| self.some.said(self.has_unique_keys))
    }

    fn count(&self, kind: &str) -> usize {
        let is_it = |why: &&CommandError| shut_kind(why) == Some(kind);
        match self.all.as_ref().filter(is_it) {
            Some(_) => self.partitions,
            None => self.some.reasons().filter(is_it).count(),
        }
    }
}

fn shut_kind(why: &CommandError) -> Option<&'static str> {
    let [outbox, journal, away] = SHUT_KINDS;
    match why {
        CommandError::OutboxFull { .. } | CommandError::PartitionFull { .. } => Some(outbox),
        CommandError::JournalFull { .. } => Some(journal),
        CommandError::PartitionAway { .. } => Some(away),
        _ => None,
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// Every kind of reason has its figure, also where it is 0, so that an alert can rely on it.
pub(crate) fn register_readiness(
    registry: &mut Registry,
    not_ready: &[NotReady],
    refusing: Option<&Refusing>,
) {
    let (ready, reasons, shut) = (Figure::default(), ByReason::default(), ByReason::default());
    ready.set(u64::from(not_ready.is_empty()));
    for reason in NOT_READY_KINDS {
        let stands = not_ready.iter().any(|standing| standing.kind == reason);
        reasons.get_or_create(&ReasonLabel { reason }).set(u64::from(stands));
    }
    for reason in SHUT_KINDS {
        if let Some(refusing) = refusing {
            shut.get_or_create(&ReasonLabel { reason }).set(refusing.count(reason) as u64);
        }
    }
    registry.register("ready", "1 while the service is ready, else 0", ready);
    registry.register("not_ready", "1 for each reason why the service is not ready, else 0", reasons);
    registry.register("shut_partitions", "Partitions that take no events, by reason", shut);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_has_not_been_asked_while_the_process_stood_still() {
        let (health, began) = (Health::default(), Instant::now());
        let _writing = health.writing();
        health.state().asked_at = began.checked_sub(Duration::from_secs(62));
        let last_look = began.checked_sub(Duration::from_secs(61)).unwrap();
        health.checked(last_look, began);
        assert_eq!(health.hung(), None);
        assert_eq!(health.stuck(), None);
        // Waited before and after it is counted.
        health.state().asked_at = began.checked_sub(Duration::from_secs(92));
        health.checked(began.checked_sub(Duration::from_secs(30)).unwrap(), began);
        assert!(health.hung().is_some());
    }

    #[test]
    fn a_disk_that_does_not_answer_while_the_process_runs_hangs() {
        let (health, began) = (Health::default(), Instant::now());
        let _writing = health.writing();
        health.state().asked_at = began.checked_sub(Duration::from_secs(62));
        health.checked(began.checked_sub(CHECK_PAUSE).unwrap(), began);
        assert!(health.hung().is_some());
    }

    #[test]
    fn a_disk_that_hangs_behind_a_nested_write_hangs_all_the_same() {
        let (health, began) = (Health::default(), Instant::now());
        let writing = health.writing();
        drop(health.writing());
        assert!(health.waited().is_some(), "the outer one still asks");
        health.state().asked_at = began.checked_sub(Duration::from_secs(62));
        assert!(health.stuck().is_some() && health.hung().is_some());
        drop(writing);
        assert_eq!(health.waited(), None);
    }
}
