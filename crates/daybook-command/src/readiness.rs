//! Why a service is not ready, and how many partitions take no events: told by `/health/ready` in words, and by `/metrics` as
//! figures of the same.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::command::Undecided;
use super::positions::Shut;

type Figure = Gauge<u64, AtomicU64>;
type ByReason = Family<ReasonLabel, Figure>;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotReady {
    #[error("the service is starting: {0}")]
    Starting(String),
    #[error("the store fails: {0}")]
    StoreFails(String),
    #[error("the store fails: {0}")]
    NoRoom(String),
    #[error("{0}")]
    DiskHangs(String),
    #[error("{0}")]
    RelayHalted(String),
    #[error("{0}")]
    NotCompared(String),
    #[error("following has stopped: {0}")]
    FollowingStopped(String),
    #[error("other services' topics are still being followed up to their ends")]
    CatchingUp,
}

impl NotReady {
    const KINDS: [&'static str; 8] = [
        "starting",
        "store-fails",
        "no-room",
        "disk-hangs",
        "relay-halted",
        "not-compared",
        "following-stopped",
        "catching-up",
    ];

    fn kind(&self) -> &'static str {
        let [starting, store, room, disk, relay, compared, following, catching_up] = Self::KINDS;
        match self {
            Self::Starting(_) => starting,
            Self::StoreFails(_) => store,
            Self::NoRoom(_) => room,
            Self::DiskHangs(_) => disk,
            Self::RelayHalted(_) => relay,
            Self::NotCompared(_) => compared,
            Self::FollowingStopped(_) => following,
            Self::CatchingUp => catching_up,
        }
    }
}

/// All reasons as one text; none if the service is ready.
pub(crate) fn said(reasons: &[NotReady]) -> Option<String> {
    let said: Vec<_> = reasons.iter().map(NotReady::to_string).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

/// Why partitions of the own topic take no events, as a command that is refused for it says.
const SHUT_KINDS: [&str; 3] = ["outbox-full", "journal-full", "partition-away"];

/// What takes no events at present.
#[derive(Debug)]
pub(crate) struct Refusing {
    /// Why no partition does, if none does.
    pub(crate) all: Option<Undecided>,
    pub(crate) some: Shut,
    pub(crate) partitions: usize,
    /// Whether aggregates of the service have unique keys.
    pub(crate) has_unique_keys: bool,
}

impl Refusing {
    /// Why that is, if anything is refused.
    pub(crate) fn said(&self) -> Option<String> {
        self.all.as_ref().map(ToString::to_string).or_else(|| self.some.said(self.has_unique_keys))
    }

    /// How many partitions take nothing, for a reason of this kind.
    fn count(&self, kind: &str) -> usize {
        let is_it = |why: &&Undecided| shut_kind(why) == Some(kind);
        match self.all.as_ref().filter(is_it) {
            Some(_) => self.partitions,
            None => self.some.reasons().filter(is_it).count(),
        }
    }
}

fn shut_kind(why: &Undecided) -> Option<&'static str> {
    let [outbox, journal, away] = SHUT_KINDS;
    match why {
        Undecided::OutboxFull { .. } | Undecided::PartitionFull { .. } => Some(outbox),
        Undecided::JournalFull { .. } => Some(journal),
        Undecided::PartitionAway { .. } => Some(away),
        _ => None,
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Default)]
pub(crate) struct Readiness {
    ready: Figure,
    not_ready: ByReason,
    shut_partitions: ByReason,
}

impl Readiness {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("ready", "1 while the service is ready, else 0", self.ready.clone());
        let not_ready = self.not_ready.clone();
        registry.register("not_ready", "1 for each reason why the service is not ready, else 0", not_ready);
        let shut = self.shut_partitions.clone();
        registry.register("shut_partitions", "Partitions that take no events, by reason", shut);
    }

    /// Every kind of reason has its figure, also where it is 0, so that an alert can rely on it.
    pub(super) fn set_ready(&self, not_ready: &[NotReady]) {
        self.ready.set(u64::from(not_ready.is_empty()));
        for reason in NotReady::KINDS {
            let stands = not_ready.iter().any(|standing| standing.kind() == reason);
            self.not_ready.get_or_create(&ReasonLabel { reason }).set(u64::from(stands));
        }
    }

    pub(super) fn set_refusing(&self, refusing: &Refusing) {
        for reason in SHUT_KINDS {
            let count = refusing.count(reason) as u64;
            self.shut_partitions.get_or_create(&ReasonLabel { reason }).set(count);
        }
    }
}
