//! What a command service counts, for Prometheus.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use daybook_service::http::RequestMetrics;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry, Unit};

use super::health::{Figure, NotReady, Readiness};

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
    pub(crate) unsent_events: Figure,
    pub(crate) relayed_events: Counter,
    pub(crate) relay_failures: Counter,
    pub(crate) compared_records: Counter,
    pub(crate) halted_partitions: Figure,
    pub(crate) stalled_partitions: Figure,
    pub(crate) store_syncs: Counter,
    pub(crate) store_failures: Counter,
    pub(crate) followed_events: Counter,
    pub(crate) superseded_records: Counter,
    pub(crate) topic_faults: Figure,
    pub(crate) waiting_requests: Figure,
    pub(crate) journal_bytes: Figure,
    pub(crate) idempotency_keys: Figure,
    pub(crate) index_bytes: Figure,
    pub(crate) old_stores: Figure,
    pub(crate) silent_partitions: Figure,
    pub(crate) quarantined_keys: Figure,
    pub(crate) quarantined_events: Figure,
    pub(crate) set_aside_records: Figure,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let (readiness, requests) = (Readiness::default(), Arc::<RequestMetrics>::default());
        readiness.register(&mut registry);
        requests.register(&mut registry);
        let sync_seconds = Histogram::new(exponential_buckets(0.000_1, 2.0, 14));
        let sync = "Time of one record of the journal to disk";
        registry.register_with_unit("sync", sync, Unit::Seconds, sync_seconds.clone());
        let group_commands = Histogram::new(exponential_buckets(1.0, 2.0, 9));
        registry.register("group_commands", "Commands that shared one sync", group_commands.clone());
        let all = &mut registry;
        Self {
            commands: figure(all, "commands", "Commands by outcome"),
            unsent_events: figure(all, "outbox_unsent_events", "Events that Kafka has not acknowledged yet"),
            relayed_events: figure(all, "relayed_events", "Events acknowledged by Kafka"),
            relay_failures: figure(all, "relay_failures", "Times the relay had to begin anew"),
            compared_records: figure(
                all,
                "relay_compared_records",
                "Records read to compare the log with the store",
            ),
            halted_partitions: figure(
                all,
                "relay_halted_partitions",
                "Partitions of which nothing is sent until somebody mends them",
            ),
            stalled_partitions: figure(
                all,
                "relay_stalled_partitions",
                "Partitions that acknowledge nothing although events of them wait",
            ),
            store_syncs: figure(all, "store_syncs", "Syncs of the store behind the journal"),
            store_failures: figure(all, "store_failures", "Writes or syncs that failed"),
            followed_events: figure(all, "followed_events", "Events of other services applied"),
            superseded_records: figure(
                all,
                "superseded_records",
                "Records of superseded writers of other services skipped",
            ),
            topic_faults: figure(
                all,
                "topic_faults",
                "What is wrong with topics that are written or followed",
            ),
            waiting_requests: figure(
                all,
                "waiting_requests",
                "Requests that wait for other services' events or for Kafka",
            ),
            journal_bytes: figure(all, "journal_bytes", "Bytes of the journal"),
            idempotency_keys: figure(all, "idempotency_keys", "Idempotency keys that are remembered"),
            index_bytes: figure(
                all,
                "index_bytes",
                "Bytes of the index's file, which is reused and does not shrink",
            ),
            old_stores: figure(all, "old_stores", "Stores that --recover or an upgrade has put aside"),
            silent_partitions: figure(
                all,
                "silent_partitions",
                "Partitions of other services that nobody answers for, or that are not read yet up to where they are back",
            ),
            quarantined_keys: figure(
                all,
                "quarantined_keys",
                "Aggregates of other services of which events wait",
            ),
            quarantined_events: figure(all, "quarantined_events", "Events of other services that wait"),
            set_aside_records: figure(
                all,
                "set_aside_records",
                "Records of topics that are no events of their services",
            ),
            group_commands,
            sync_seconds,
            readiness,
            requests,
            registry,
        }
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

fn figure<M: Metric + Clone + Default>(all: &mut Registry, name: &str, help: &str) -> M {
    let figure = M::default();
    all.register(name, help, figure.clone());
    figure
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
