//! The route table: what every query-api answers, whatever its domain, around the domain's own routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use daybook_service::http::{ApiError, GuardLimits, figures, guarded, json, operations, readiness};
use jiff::Timestamp;
use serde_json::json;

use super::api::Api;
use super::as_of::ReadSet;
use super::limits::{BODY_TIMEOUT, REQUESTS_MAX};
use super::metrics;
use super::queries::Queries;
use super::request::QueryRequest;
use super::responder::Body;
use super::status::{self, Status};

/// All routes.
pub(super) fn router(queries: Queries, api: Arc<Api>) -> Router {
    let limits = GuardLimits {
        requests_max: Some(REQUESTS_MAX),
        request_timeout: api.request_timeout(),
        body_timeout: BODY_TIMEOUT,
    };
    let requests = Arc::clone(&api.metrics.requests);
    guarded(queries.routes.route("/status", get(show_status)), &limits, requests)
        // Outside of the bound on requests: they are needed most when it is reached.
        .merge(operations(get(ready), get(show_metrics), &[queries.problems]))
        .with_state(api)
}

async fn show_status(State(api): State<Arc<Api>>, request: QueryRequest) -> Result<Response, ApiError> {
    request.no_parameters()?;
    let status = shown(&api);
    let body = Body::of(&status, status.partitions.len(), ReadSet::default())?;
    Ok(json(StatusCode::OK, body.json))
}

async fn ready(State(api): State<Arc<Api>>) -> Response {
    if status::ready(api.serving_now().as_deref()) {
        return readiness(Ok(json!({"troubles": status::troubles(&shown(&api))})));
    }
    let reason = if api.is_opening() {
        "the read model is being opened, or cannot be opened yet and is tried again; /status says why"
    } else if api.has_nothing_to_serve() {
        "the read model is being built from the log; /status says how far it is, or why it is not yet"
    } else {
        "the read model has not yet reached the end of the log as it was at the start; /status says how far it is"
    };
    readiness(Err(reason.to_owned()))
}

async fn show_metrics(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    let text = metrics::text(&api, &shown(&api)).map_err(|error| ApiError::fault().hiding(&error))?;
    Ok(figures(text))
}

fn shown(api: &Api) -> Status {
    status::status(api, api.serving_now().as_deref(), &api.measured.load(), Timestamp::now())
}
