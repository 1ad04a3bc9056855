//! What a command service counts, for Prometheus.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use daybook_service::http::RequestMetrics;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::health::{NotReady, Readiness};

/// What every name begins with.
const PREFIX: &str = "daybook";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CountedAs {
    /// Decided, and it wrote events.
    Accepted,
    /// Decided, and there was nothing to change.
    Unchanged,
    /// Refused by a rule, a version or a unique key.
    Rejected,
    /// Answered as its idempotency key was answered before.
    Repeated,
    /// Not decided: too much to do, or the store fails.
    Unavailable,
}

impl EncodeLabelValue for CountedAs {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        encoder.write_str(match self {
            Self::Accepted => "accepted",
            Self::Unchanged => "unchanged",
            Self::Rejected => "rejected",
            Self::Repeated => "repeated",
            Self::Unavailable => "unavailable",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: CountedAs,
}

#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) readiness: Readiness,
    pub(crate) requests: Arc<RequestMetrics>,
    commands: Family<OutcomeLabel, Counter>,
    group_commands: Histogram,
    sync_seconds: Histogram,
    pub(crate) unsent_events: Gauge<u64, AtomicU64>,
    pub(crate) relayed_events: Counter,
    pub(crate) relay_failures: Counter,
    pub(crate) compared_records: Counter,
    pub(crate) halted_partitions: Gauge<u64, AtomicU64>,
    pub(crate) stalled_partitions: Gauge<u64, AtomicU64>,
    pub(crate) store_syncs: Counter,
    pub(crate) store_failures: Counter,
    pub(crate) followed_events: Counter,
    pub(crate) superseded_records: Counter,
    pub(crate) topic_faults: Gauge<u64, AtomicU64>,
    pub(crate) waiting_requests: Gauge<u64, AtomicU64>,
    pub(crate) journal_bytes: Gauge<u64, AtomicU64>,
    pub(crate) idempotency_keys: Gauge<u64, AtomicU64>,
    pub(crate) index_bytes: Gauge<u64, AtomicU64>,
    pub(crate) old_stores: Gauge<u64, AtomicU64>,
    pub(crate) silent_partitions: Gauge<u64, AtomicU64>,
    pub(crate) quarantined_keys: Gauge<u64, AtomicU64>,
    pub(crate) quarantined_events: Gauge<u64, AtomicU64>,
    pub(crate) set_aside_records: Gauge<u64, AtomicU64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix(PREFIX),
            readiness: Readiness::default(),
            requests: Arc::default(),
            commands: Family::default(),
            group_commands: Histogram::new(exponential_buckets(1.0, 2.0, 9)),
            sync_seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 14)),
            unsent_events: Gauge::default(),
            relayed_events: Counter::default(),
            relay_failures: Counter::default(),
            compared_records: Counter::default(),
            halted_partitions: Gauge::default(),
            stalled_partitions: Gauge::default(),
            store_syncs: Counter::default(),
            store_failures: Counter::default(),
            followed_events: Counter::default(),
            superseded_records: Counter::default(),
            topic_faults: Gauge::default(),
            waiting_requests: Gauge::default(),
            journal_bytes: Gauge::default(),
            idempotency_keys: Gauge::default(),
            index_bytes: Gauge::default(),
            old_stores: Gauge::default(),
            silent_partitions: Gauge::default(),
            quarantined_keys: Gauge::default(),
            quarantined_events: Gauge::default(),
            set_aside_records: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let all = &mut self.registry;
        self.readiness.register(all);
        self.requests.register(all);
        all.register("commands", "Commands by outcome", self.commands.clone());
        all.register("group_commands", "Commands that shared one sync", self.group_commands.clone());
        let sync = self.sync_seconds.clone();
        all.register_with_unit("sync", "Time of one record of the journal to disk", Unit::Seconds, sync);
        all.register("store_syncs", "Syncs of the store behind the journal", self.store_syncs.clone());
        let unsent = self.unsent_events.clone();
        all.register("outbox_unsent_events", "Events that Kafka has not acknowledged yet", unsent);
        let relayed = self.relayed_events.clone();
        all.register("relayed_events", "Events acknowledged by Kafka", relayed);
        let failures = self.relay_failures.clone();
        all.register("relay_failures", "Times the relay had to begin anew", failures);
        let compared = self.compared_records.clone();
        all.register("relay_compared_records", "Records read to compare the log with the store", compared);
        let halted = self.halted_partitions.clone();
        all.register(
            "relay_halted_partitions",
            "Partitions of which nothing is sent until somebody mends them",
            halted,
        );
        let stalled = self.stalled_partitions.clone();
        all.register(
            "relay_stalled_partitions",
            "Partitions that acknowledge nothing although events of them wait",
            stalled,
        );
        all.register("store_failures", "Writes or syncs that failed", self.store_failures.clone());
        all.register("followed_events", "Events of other services applied", self.followed_events.clone());
        let superseded = self.superseded_records.clone();
        all.register(
            "superseded_records",
            "Records of superseded writers of other services skipped",
            superseded,
        );
        let faults = self.topic_faults.clone();
        all.register("topic_faults", "What is wrong with topics that are written or followed", faults);
        let waiting = self.waiting_requests.clone();
        all.register(
            "waiting_requests",
            "Requests that wait for other services' events or for Kafka",
            waiting,
        );
        all.register("journal_bytes", "Bytes of the journal", self.journal_bytes.clone());
        let remembered = self.idempotency_keys.clone();
        all.register("idempotency_keys", "Idempotency keys that are remembered", remembered);
        let index = self.index_bytes.clone();
        all.register("index_bytes", "Bytes of the index's file, which is reused and does not shrink", index);
        let old = self.old_stores.clone();
        all.register("old_stores", "Stores that --recover or an upgrade has put aside", old);
        let silent = self.silent_partitions.clone();
        all.register(
            "silent_partitions",
            "Partitions of other services that nobody answers for, or that are not read yet up to where they are back",
            silent,
        );
        let keys = self.quarantined_keys.clone();
        all.register("quarantined_keys", "Aggregates of other services of which events wait", keys);
        let events = self.quarantined_events.clone();
        all.register("quarantined_events", "Events of other services that wait", events);
        let set_aside = self.set_aside_records.clone();
        all.register(
            "set_aside_records",
            "Records of topics that are no events of their services",
            set_aside,
        );
    }

    pub(crate) fn command(&self, outcome: CountedAs) {
        self.commands.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    pub(crate) fn group(&self, commands: usize) {
        self.group_commands.observe(commands as f64);
    }

    pub(crate) fn synced(&self, took: Duration) {
        self.sync_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn render(&self) -> String {
        text(&self.registry)
    }
}

/// The figures of a service that starts: that it is not ready.
pub(crate) fn of_a_start(starting: NotReady) -> String {
    let (mut registry, readiness) = (Registry::with_prefix(PREFIX), Readiness::default());
    readiness.register(&mut registry);
    readiness.set_ready(&[starting]);
    text(&registry)
}

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => text,
        // Writing into a string cannot fail; should it, an empty page says more than a panic.
        Err(std::fmt::Error) => String::new(),
    }
}
