//! Commands and states over HTTP, for every command service. Knows no domain; what it shares with other services is
//! `daybook_service::http`.

mod command;
mod errors;
mod routes;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use daybook_event::problem::ProblemType;
use daybook_event::{Rejection as _, headers};
pub use daybook_service::http::id;
use daybook_service::http::{
    self, After, ApiError, Conditions, GuardLimits, figures, no_parameters, operations, path_id, readiness,
    state,
};
pub use routes::{Route, Routes};
use serde_json::json;

use crate::aggregate::Aggregate;
use crate::http::command::position_header;
use crate::service::Service;

pub(crate) fn guarded<A: Aggregate>(routes: Router<Arc<Service<A>>>, service: Arc<Service<A>>) -> Router {
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
    let (positions, followed, journal) = (&service.positions, &service.followed, &service.journal);
    let (quarantine, waiting) = (followed.quarantine(), service.slots.waiting() as u64);
    let present = [
        ("outbox_unsent_events", "Events that Kafka has not acknowledged yet", positions.unsent()),
        (
            "relay_halted_partitions",
            "Partitions of which nothing is sent until an operator repairs them",
            positions.halted_partitions() as u64,
        ),
        (
            "relay_stalled_partitions",
            "Partitions that acknowledge nothing although events of them wait",
            positions.stalled() as u64,
        ),
        ("waiting_requests", "Requests that wait for other services' events or for Kafka", waiting),
        ("journal_bytes", "Bytes of the journal", journal.bytes()),
        ("idempotency_keys", "Idempotency keys that are remembered", journal.keys() as u64),
        (
            "index_bytes",
            "Bytes of the index's file, which is reused and does not shrink",
            service.store.bytes(),
        ),
        (
            "silent_partitions",
            "Partitions of other services that are away, or not yet read up to where they came back",
            followed.silent() as u64,
        ),
        ("quarantined_keys", "Aggregates of other services of which events wait", quarantine.keys),
        ("quarantined_events", "Events of other services that wait", quarantine.events),
        (
            "set_aside_records",
            "Records that are no events of the topic's service",
            service.set_aside_records(),
        ),
    ];
    figures(service.metrics.render(&present, &service.not_ready_for(), &service.refusing()))
}

/// Answers with the state of the aggregate that the path names, or with why it is not shown. Either names the position of the
/// aggregate's last event, or a later one of its partition.
pub(crate) async fn show<A: Aggregate>(service: &Service<A>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    read(service, &parts).await.unwrap_or_else(IntoResponse::into_response)
}

async fn read<A: Aggregate>(service: &Service<A>, parts: &Parts) -> Result<Response, ApiError> {
    no_parameters(&parts.uri)?;
    let conditions = Conditions::read(&parts.headers)?;
    let after = After::read(&parts.headers)?;
    let id = path_id(parts)?;
    if let Some(token) = &after.token {
        service.after(token, after.wait).await?;
    }
    let row = service.load(id).await?;
    // After the row: it holds at least what the row does.
    let stands_at = row.as_ref().and_then(|row| service.positions.last_durable(A::state_key(&row.state, id)));
    let as_of = position_header(headers::AS_OF, A::TOPIC, stands_at);
    let shown = A::shown(row.as_ref().map(|row| &row.state));
    let shown =
        shown.map(|shown| serde_json::to_vec(&shown)).map_err(|rejection| ApiError::from(rejection.into()));
    match shown {
        Ok(Ok(body)) => {
            let version = row.as_ref().map_or(0, |row| row.version);
            Ok(state(&conditions, &version.to_string(), as_of.collect(), body))
        }
        Ok(Err(error)) => Err(ApiError::fault().hiding(&error)),
        Err(rejected) => Err(rejected.with_headers(as_of)),
    }
}
