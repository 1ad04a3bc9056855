//! What operators ask: does it live, is it ready, what are its figures.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::refusal::Refusal;
use crate::aggregate::Aggregate;
use crate::metrics::CONTENT_TYPE;
use crate::service::Service;

/// The process answers.
pub(crate) async fn live() -> Response {
    Json(json!({"status": "live"})).into_response()
}

/// The service decides commands on a complete picture.
pub(super) async fn ready<A: Aggregate>(State(service): State<Arc<Service<A>>>) -> Response {
    match service.not_ready() {
        None => {
            let commands = json!({"refused": service.refuses()});
            let relay = json!({"unsent_events": service.positions.unsent(), "trouble": service.positions.trouble(), "set_aside": service.own_set_aside()});
            let following = json!({"trouble": service.followed.trouble(), "quarantine": service.followed.quarantine(), "set_aside": service.followed.set_aside()});
            Json(json!({"status": "ready", "commands": commands, "relay": relay, "following": following}))
                .into_response()
        }
        Some(reason) => Refusal::unavailable("not-ready", "Not ready", reason).into_response(),
    }
}

/// Figures for Prometheus.
pub(super) async fn metrics<A: Aggregate>(State(service): State<Arc<Service<A>>>) -> Response {
    service.metrics.unsent_events.set(service.positions.unsent());
    service.metrics.stalled_partitions.set(service.positions.stalled() as u64);
    service.metrics.halted_partitions.set(service.positions.halted_partitions() as u64);
    service.metrics.waiting_requests.set(service.places.waiting() as u64);
    service.metrics.journal_bytes.set(service.journal.bytes());
    service.metrics.index_bytes.set(service.store.bytes());
    service.metrics.idempotency_keys.set(service.journal.keys() as u64);
    let quarantine = service.followed.quarantine();
    service.metrics.quarantined_keys.set(quarantine.keys);
    service.metrics.quarantined_events.set(quarantine.events);
    service.metrics.set_aside_records.set(service.set_aside_records());
    service.metrics.silent_partitions.set(service.followed.silent() as u64);
    service.metrics.readiness.set_ready(&service.not_ready_for());
    service.metrics.readiness.set_refusing(&service.refusing());
    figures(service.metrics.render())
}

/// A page of figures.
pub(crate) fn figures(text: String) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}
