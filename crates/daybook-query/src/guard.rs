//! Around every request: a bound on how many are at work, a bound on how long each takes, and counts of both.

use std::sync::Arc;
use std::time::Instant;

use axum::body::HttpBody as _;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::api::Api;
use super::refusal::{Refusal, Unreadable};
use super::request_metrics::Count;

/// Label of requests to paths outside the route table.
const NO_ROUTE: &str = "none";

/// Runs one request within the bounds.
pub(super) async fn guard(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = bounded(&api, request, next).await;
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    api.request_metrics.answered(route, response.status(), began.elapsed());
    if let Some(Unreadable(cause)) = response.extensions().get() {
        api.request_metrics.unreadable.note(route, cause);
    }
    response
}

async fn bounded(api: &Api, request: Request, next: Next) -> Response {
    let Ok(_permit) = api.requests.try_acquire() else { return Refusal::overloaded().into_response() };
    if !request.body().is_end_stream() {
        return Refusal::with_body().into_response();
    }
    let _at_work = Counted::new(&api.request_metrics.at_work);
    let answer = timeout(api.request_timeout(), next.run(request)).await;
    answer.unwrap_or_else(|_| Refusal::too_slow().into_response())
}

/// Counts in a gauge for as long as it lives, also when a client goes away and its request is dropped.
pub(super) struct Counted(Count);

impl Counted {
    /// Counts from now on.
    #[must_use]
    pub(super) fn new(gauge: &Count) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
