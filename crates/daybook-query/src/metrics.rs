//! `/metrics`: counts of requests, and the figures of `/status`, as OpenMetrics text.

use std::sync::atomic::{AtomicI64, AtomicU64};

use daybook_event::problem::Problem;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::api::Api;
use super::status::{Partition, Status};

const PREFIX: &str = "daybook";

type Signed = Gauge<i64, AtomicI64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Source {
    topic: String,
    partition: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stage {
    state: String,
}

/// Everything that is counted or measured, as one text.
pub(super) fn text(api: &Api, status: &Status) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    api.metrics.register(&mut registry);
    gauge(&mut registry, "ready", "1 once the read model had caught up", i64::from(status.ready));
    gauge(
        &mut registry,
        "duplicates_skipped",
        "Records recognised as repeated",
        signed(status.duplicates_skipped),
    );
    gauge(
        &mut registry,
        "superseded_skipped",
        "Records of superseded writers",
        signed(status.superseded_skipped),
    );
    gauge(
        &mut registry,
        "events_applied",
        "Events projected into this generation",
        signed(status.events_applied),
    );
    seconds(&mut registry, "last_event_age", "Age of the event projected last", status.last_event_age_ms);
    optional(&mut registry, "lag_records", "Records not yet projected", status.lag_total.map(signed));
    optional(
        &mut registry,
        "disk_bytes",
        "Bytes of the generation's files",
        status.bytes_on_disk.map(signed),
    );
    let keys = signed(status.quarantine_keys as u64);
    gauge(&mut registry, "quarantined_keys", "Keys of which events wait in quarantine", keys);
    let events = signed(status.quarantine_events);
    gauge(&mut registry, "quarantined_events", "Events that wait in quarantine", events);
    let skipped = signed(status.skipped_events as u64);
    gauge(&mut registry, "skipped_events", "Events that are left out for ever", skipped);
    let unnamed = status.skipped_unnamed.map(|events| signed(events as u64));
    optional(&mut registry, "skipped_unnamed", "Events that are left out, and not named in SKIPPED", unnamed);
    let set_aside = signed(status.set_aside_records);
    gauge(
        &mut registry,
        "set_aside_records",
        "Records that are no events of their topics' services",
        set_aside,
    );
    let faults = signed(status.topic_faults.len() as u64);
    gauge(&mut registry, "topic_faults", "What is wrong with topics that are projected", faults);
    let away = signed(status.partitions_away.len() as u64);
    gauge(&mut registry, "partitions_away", "Partitions that nobody answers for at present", away);
    let trouble = i64::from(status.build_trouble.is_some());
    gauge(&mut registry, "build_trouble", "1 while a generation that is to be built cannot be", trouble);
    let gone = i64::from(status.directory_gone.is_some());
    gauge(&mut registry, "directory_gone", "1 while the read model's directory was removed under D", gone);
    stopped(&mut registry, status);
    next(&mut registry, status);
    rebuild(&mut registry, status);
    partitions(&mut registry, &status.partitions);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// 1 with the kind of reason while the projection is stopped; 0 without one otherwise, so that an alert can rely on it.
fn stopped(registry: &mut Registry, status: &Status) {
    let family = Family::<Reason, Signed>::default();
    let kind = status.stopped.as_ref().map(Problem::slug);
    let reason = Reason { reason: kind.unwrap_or_default().to_owned() };
    family.get_or_create(&reason).set(i64::from(kind.is_some()));
    registry.register("stopped", "1 while the projection is stopped, with the kind of reason", family);
}

/// 1 with its state while a published generation is not the one that is served; 0 without one otherwise.
fn next(registry: &mut Registry, status: &Status) {
    let family = Family::<Stage, Signed>::default();
    let state = status.next.as_ref().map(|next| next.state);
    let stage = Stage { state: state.unwrap_or_default().to_owned() };
    family.get_or_create(&stage).set(i64::from(state.is_some()));
    registry.register("next", "1 while a published generation is not served, with its state", family);
}

fn rebuild(registry: &mut Registry, status: &Status) {
    let Some(rebuild) = &status.rebuild else { return };
    gauge(registry, "rebuild_done_records", "Records read by the rebuild at work", signed(rebuild.done));
    gauge(registry, "rebuild_total_records", "Records to be read by the rebuild", signed(rebuild.total));
    let rate = rebuild.events_per_s as i64;
    gauge(registry, "rebuild_records_per_second", "Records read per second by the rebuild", rate);
    let eta_s = rebuild.eta_s.map(|eta_s| eta_s as i64);
    optional(registry, "rebuild_eta_seconds", "Seconds to go for the rebuild at its pace so far", eta_s);
    let memory = rebuild.memory_bytes.map(signed);
    optional(registry, "rebuild_memory_bytes", "Memory of the process that rebuilds", memory);
}

fn partitions(registry: &mut Registry, partitions: &[Partition]) {
    let (checkpoints, lags) = (Family::<Source, Signed>::default(), Family::<Source, Signed>::default());
    for at in partitions {
        let source = Source { topic: at.topic.clone(), partition: at.partition };
        checkpoints.get_or_create(&source).set(at.checkpoint);
        if let Some(lag) = at.lag {
            lags.get_or_create(&source).set(signed(lag));
        }
    }
    registry.register("checkpoint_offset", "Offset of the first record not projected", checkpoints);
    registry.register("partition_lag_records", "Records not yet projected", lags);
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: i64) {
    let gauge = Signed::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn optional(registry: &mut Registry, name: &str, help: &str, value: Option<i64>) {
    if let Some(value) = value {
        gauge(registry, name, help, value);
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
