//! A service's routes, within the bounds that surround every route, and beside them what operators ask.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use daybook_event::Rejection as _;
use daybook_event::problem::ProblemType;
use daybook_service::http::{self, GuardLimits, figures, operations, readiness};
use serde_json::json;

use crate::aggregate::Aggregate;
use crate::service::Service;

/// A service's routes with everything around them.
pub(super) fn guarded<A: Aggregate>(routes: Router<Arc<Service<A>>>, service: Arc<Service<A>>) -> Router {
    let limits = GuardLimits {
        // Who waits, for a body or for something to happen, must not take the place of who works: the service counts itself.
        requests_max: None,
        request_timeout: service.limits.request_timeout,
        body_timeout: service.limits.body_timeout,
    };
    let requests = Arc::clone(&service.metrics.requests);
    http::guarded(routes, &limits, requests)
        // Outside of the bounds: a busy service must still say that it lives.
        .merge(operations(get(ready::<A>), get(metrics::<A>), &problems::<A>()))
        .with_state(service)
}

/// The kinds of problems that a service's domain adds.
pub(crate) fn problems<A: Aggregate>() -> [&'static [ProblemType]; 2] {
    [A::Rejection::PROBLEMS, A::PROBLEMS]
}

/// The service decides commands on a complete picture.
async fn ready<A: Aggregate>(State(service): State<Arc<Service<A>>>) -> Response {
    if let Some(reason) = service.not_ready() {
        return readiness(Err(reason));
    }
    let positions = &service.positions;
    let relay = json!({
        "unsent_events": positions.unsent(), "trouble": positions.trouble(), "set_aside": service.own_set_aside(),
    });
    let followed = &service.followed;
    let following = json!({
        "trouble": followed.trouble(), "quarantine": followed.quarantine(), "set_aside": followed.set_aside(),
    });
    let commands = json!({"refused": service.refuses()});
    readiness(Ok(json!({"commands": commands, "relay": relay, "following": following})))
}

async fn metrics<A: Aggregate>(State(service): State<Arc<Service<A>>>) -> Response {
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
    service.metrics.silent_partitions.set(service.followed.silent() as u64);
    service.metrics.set_aside_records.set(service.set_aside_records());
    service.metrics.readiness.set_ready(&service.not_ready_for());
    service.metrics.readiness.set_refusing(&service.refusing());
    figures(service.metrics.render())
}
