//! What a command service counts, for Prometheus.

use std::sync::Arc;
use std::time::Duration;

use daybook_service::http::RequestMetrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::health::{Figure, NotReady, Refusing, register_readiness};

const PREFIX: &str = "daybook";

/// What becomes of a command that is not decided: there is too much to do, or the store fails.
pub(crate) const UNAVAILABLE: &str = "unavailable";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// What is counted while the service runs; how things are at present is asked for at each reading.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) requests: Arc<RequestMetrics>,
    commands: Family<OutcomeLabel, Counter>,
    group_commands: Histogram,
    sync_seconds: Histogram,
    pub(crate) relayed_events: Counter,
    pub(crate) relay_failures: Counter,
    pub(crate) compared_records: Counter,
    pub(crate) store_syncs: Counter,
    pub(crate) store_failures: Counter,
    pub(crate) followed_events: Counter,
    pub(crate) fenced_records: Counter,
    pub(crate) topic_faults: Figure,
    pub(crate) old_stores: Figure,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Arc::default(),
            commands: Family::default(),
            group_commands: Histogram::new(exponential_buckets(1.0, 2.0, 9)),
            sync_seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 14)),
            relayed_events: Counter::default(),
            relay_failures: Counter::default(),
            compared_records: Counter::default(),
            store_syncs: Counter::default(),
            store_failures: Counter::default(),
            followed_events: Counter::default(),
            fenced_records: Counter::default(),
            topic_faults: Figure::default(),
            old_stores: Figure::default(),
        }
    }
}

impl Metrics {
    pub(crate) fn command(&self, outcome: &'static str) {
        self.commands.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    pub(crate) fn group(&self, commands: usize) {
        self.group_commands.observe(commands as f64);
    }

    pub(crate) fn synced(&self, took: Duration) {
        self.sync_seconds.observe(took.as_secs_f64());
    }

    /// `present` is how things are: names, what they mean, figures.
    pub(crate) fn render(
        &self,
        present: &[(&str, &str, u64)],
        not_ready: &[NotReady],
        refusing: &Refusing,
    ) -> String {
        let mut all = Registry::with_prefix(PREFIX);
        register_readiness(&mut all, not_ready, Some(refusing));
        self.requests.register(&mut all);
        let sync = "Time of one record of the journal to disk";
        all.register_with_unit("sync", sync, Unit::Seconds, self.sync_seconds.clone());
        all.register("group_commands", "Commands that shared one sync", self.group_commands.clone());
        all.register("commands", "Commands by outcome", self.commands.clone());
        for (name, help, counter) in [
            ("relayed_events", "Events acknowledged by Kafka", &self.relayed_events),
            ("relay_failures", "Times the relay had to begin again", &self.relay_failures),
            ("relay_compared_records", "Records read to compare log and store", &self.compared_records),
            ("store_syncs", "Syncs of the store behind the journal", &self.store_syncs),
            ("store_failures", "Writes or syncs that failed", &self.store_failures),
            ("followed_events", "Events of other services applied", &self.followed_events),
            ("fenced_records", "Records of fenced writers of other services skipped", &self.fenced_records),
        ] {
            all.register(name, help, counter.clone());
        }
        let faults = "What is wrong with topics that are written or followed";
        all.register("topic_faults", faults, self.topic_faults.clone());
        let stores = "Stores that --recover or an upgrade has put aside";
        all.register("old_stores", stores, self.old_stores.clone());
        for (name, help, value) in present {
            let figure = Figure::default();
            figure.set(*value);
            all.register(*name, *help, figure);
        }
        text(&all)
    }
}

/// The figures of a service that starts: that it is not ready.
pub(crate) fn of_a_start(starting: NotReady) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    register_readiness(&mut registry, &[starting], None);
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
