//! What surrounds every route: a bound on time, problems instead of bare errors, and no panic leaves.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;

use super::operations::{live, metrics, ready};
use super::refusal::{Refusal, fault};
use crate::aggregate::Aggregate;
use crate::service::Service;

/// A service's routes with everything around them.
pub(super) fn guarded<A: Aggregate>(routes: Router<Arc<Service<A>>>, service: Arc<Service<A>>) -> Router {
    let timeout = service.limits.request_timeout;
    routes
        // Only what is above is bounded: a busy service must still say that it lives.
        .layer(from_fn_with_state(timeout, bound))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready::<A>))
        .route("/metrics", get(metrics::<A>))
        // Behind the last route: it holds for those that are there.
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(CatchPanicLayer::custom(panicked))
        .with_state(service)
}

async fn bound(State(timeout): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => timed_out(timeout).into_response(),
    }
}

fn timed_out(after: Duration) -> Refusal {
    let detail = format!(
        "the request took longer than {} ms; a command may have been decided all the same: repeat it with its Idempotency-Key",
        after.as_millis()
    );
    Refusal::unavailable("timeout", "Timeout", detail)
}

async fn not_found(uri: Uri) -> Refusal {
    let detail = format!("there is nothing at {}", uri.path());
    Refusal::new(StatusCode::NOT_FOUND, "no-such-path", "No such path", detail)
}

pub(crate) async fn not_allowed(method: Method, uri: Uri) -> Refusal {
    let detail = format!("{} does not take {method}", uri.path());
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is tower-http's")]
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    tracing::error!(said, "a request handler panicked");
    fault("the request met a fault of this service; its log says more".to_owned()).into_response()
}
