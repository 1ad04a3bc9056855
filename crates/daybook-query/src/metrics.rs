//! `/metrics`: counts of requests, and the figures of `/status`, as OpenMetrics text.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use daybook_event::problem::Problem;
use daybook_projection::PartitionProgress;
use daybook_service::http::{Count, RequestMetrics};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::api::Api;
use super::status::Status;

const PREFIX: &str = "daybook";

type Signed = Gauge<i64, AtomicI64>;

/// Figures that differ by labels.
type Labelled = Family<Vec<(&'static str, String)>, Signed>;

pub(super) fn text(api: &Api, status: &Status) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    api.metrics.register(&mut registry);
    let count = |count: usize| Some(signed(count as u64));
    let figures = [
        ("ready", "1 once the read model had caught up", Some(i64::from(status.ready))),
        ("duplicates_skipped", "Records recognised as repeated", Some(signed(status.duplicates_skipped))),
        ("fenced_skipped", "Records of fenced writers", Some(signed(status.fenced_skipped))),
        ("events_applied", "Events projected into this generation", Some(signed(status.events_applied))),
        ("lag_records", "Records not yet projected", status.lag_total.map(signed)),
        ("disk_bytes", "Bytes of the generation's files", status.bytes_on_disk.map(signed)),
        ("quarantined_keys", "Keys of which events wait in quarantine", count(status.quarantine_keys)),
        ("quarantined_events", "Events that wait in quarantine", Some(signed(status.quarantine_events))),
        ("skipped_events", "Events that are left out for ever", count(status.skipped_events)),
        (
            "skipped_unnamed",
            "Events that are left out, and not named in SKIPPED",
            status.skipped_unnamed.and_then(count),
        ),
        (
            "set_aside_records",
            "Records that are no events of their topics' services",
            Some(signed(status.set_aside_records)),
        ),
        ("topic_faults", "What is wrong with topics that are projected", count(status.topic_faults.len())),
        (
            "partitions_away",
            "Partitions that no broker answers for at present",
            count(status.partitions_away.len()),
        ),
        (
            "build_trouble",
            "1 while a generation that is to be built cannot be",
            count(status.build_trouble.iter().len()),
        ),
        (
            "directory_gone",
            "1 while the read model's directory was removed under D",
            count(status.directory_gone.iter().len()),
        ),
    ];
    register(&mut registry, figures);
    seconds(&mut registry, "last_event_age", "Age of the event projected last", status.last_event_age_ms);
    let stopped = status.stopped.as_ref().map(Problem::slug);
    let help = "1 while the projection is stopped, with the kind of reason";
    flag(&mut registry, "stopped", help, "reason", stopped);
    let next = status.next.as_ref().map(|next| next.state);
    flag(
        &mut registry,
        "next",
        "1 while a published generation is not served, with its state",
        "state",
        next,
    );
    rebuild(&mut registry, status);
    partitions(&mut registry, &status.partitions);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// 1 with a label while there is `value`; 0 with an empty one otherwise, so that an alert can rely on it.
fn flag(registry: &mut Registry, name: &str, help: &str, label: &'static str, value: Option<&str>) {
    let family = Labelled::default();
    family
        .get_or_create(&vec![(label, value.unwrap_or_default().to_owned())])
        .set(i64::from(value.is_some()));
    registry.register(name, help, family);
}

fn rebuild(registry: &mut Registry, status: &Status) {
    let Some(rebuild) = &status.rebuild else { return };
    let whole = |number: f64| number as i64;
    let figures = [
        ("rebuild_done_records", "Records read by the rebuild at work", Some(signed(rebuild.done))),
        ("rebuild_total_records", "Records to be read by the rebuild", Some(signed(rebuild.total))),
        (
            "rebuild_records_per_second",
            "Records read per second by the rebuild",
            Some(whole(rebuild.events_per_s)),
        ),
        ("rebuild_eta_seconds", "Seconds to go for the rebuild at its pace so far", rebuild.eta_s.map(whole)),
        ("rebuild_memory_bytes", "Memory of the process that rebuilds", rebuild.memory_bytes.map(signed)),
    ];
    register(registry, figures);
}

fn partitions(registry: &mut Registry, partitions: &[PartitionProgress]) {
    let (checkpoints, lags) = (Labelled::default(), Labelled::default());
    for at in partitions {
        let source = vec![("topic", at.topic.to_string()), ("partition", at.partition.to_string())];
        checkpoints.get_or_create(&source).set(at.checkpoint);
        if let Some(lag) = at.lag {
            lags.get_or_create(&source).set(signed(lag));
        }
    }
    registry.register("checkpoint_offset", "Offset of the first record not projected", checkpoints);
    registry.register("partition_lag_records", "Records not yet projected", lags);
}

/// Figures that are not known are left out.
fn register<'f>(registry: &mut Registry, figures: impl IntoIterator<Item = (&'f str, &'f str, Option<i64>)>) {
    for (name, help, value) in figures {
        let Some(value) = value else { continue };
        let gauge = Signed::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    }
}

fn seconds(registry: &mut Registry, name: &str, help: &str, value_ms: Option<i64>) {
    if let Some(value_ms) = value_ms {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value_ms as f64 / 1_000.0);
        registry.register_with_unit(name, help, Unit::Seconds, gauge);
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[derive(Debug, Default)]
pub(super) struct QueryMetrics {
    pub(super) requests: Arc<RequestMetrics>,
    pub(super) waiting: Count,
    pub(super) heavy_at_work: Count,
    pub(super) heavy_waiting: Count,
    pub(super) not_reached: Counter<u64, AtomicU64>,
}

impl QueryMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        self.requests.register(registry);
        registry.register("waiting_requests", "Requests that wait for a token", self.waiting.clone());
        registry.register("heavy_reads_at_work", "Reads that take long, at work", self.heavy_at_work.clone());
        let heavy = self.heavy_waiting.clone();
        registry.register("heavy_reads_waiting", "Requests that wait for such a read to begin", heavy);
        let not_reached = self.not_reached.clone();
        registry.register("tokens_not_reached", "Requests whose token was not reached", not_reached);
    }
}
