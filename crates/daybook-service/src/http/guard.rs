//! What surrounds every route: bounds on time and number, no body where none is taken, problems instead of bare errors, and
//! counts of it all. No panic leaves.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::error_handling::HandleErrorLayer;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, Uri, Version, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{BoxError, Router};
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::error::Overloaded;
use tower::timeout::TimeoutLayer;
use tower_http::catch_panic::CatchPanicLayer;

use super::answer::{ApiError, HiddenCause};
use super::body::no_body;
use super::problem_types::{METHOD_NOT_ALLOWED, NO_SUCH_PATH, OVERLOADED, TIMEOUT};
use super::request_metrics::RequestMetrics;
use super::shortened;

/// Label of requests to paths outside the route table.
const NO_ROUTE: &str = "none";

#[derive(Debug, Clone)]
pub struct GuardLimits {
    /// Requests at work at the same time; past it 503. None where the service bounds them itself.
    pub requests_max: Option<usize>,
    pub request_timeout: Duration,
    pub body_timeout: Duration,
}

/// `routes` within the bounds; what is at none of them is a problem, too.
pub fn guarded<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    limits: &GuardLimits,
    metrics: Arc<RequestMetrics>,
) -> Router<S> {
    let timeout = limits.request_timeout;
    // In one piece: each layer of a router of its own costs every request allocations.
    let bounds = ServiceBuilder::new()
        .layer(from_fn_with_state(metrics, counted))
        .layer(HandleErrorLayer::new(move |error: BoxError| async move { given_up(&error, timeout) }))
        .load_shed()
        .option_layer(limits.requests_max.map(GlobalConcurrencyLimitLayer::new))
        .layer(TimeoutLayer::new(timeout))
        .layer(from_fn_with_state(limits.body_timeout, without_body))
        .layer(CatchPanicLayer::custom(panicked));
    routes.fallback(no_such_path).method_not_allowed_fallback(method_not_allowed).layer(bounds)
}

/// `routes` of operators, which answer most when the bounds are reached: only problems instead of bare errors.
pub(super) fn unguarded<S: Clone + Send + Sync + 'static>(routes: Router<S>) -> Router<S> {
    routes.method_not_allowed_fallback(method_not_allowed).layer(CatchPanicLayer::custom(panicked))
}

fn given_up(error: &BoxError, timeout: Duration) -> ApiError {
    if error.is::<Overloaded>() {
        return ApiError::new(&OVERLOADED, "too many requests are at work; try again in a moment");
    }
    let detail = format!(
        "the answer, or its waiting behind others, took longer than {} ms and was given up; a command may have been decided all the \
         same: repeat it with its Idempotency-Key",
        timeout.as_millis()
    );
    ApiError::new(&TIMEOUT, detail)
}

async fn without_body(State(timeout): State<Duration>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if !super::body::takes_none(&parts.method) {
        return next.run(Request::from_parts(parts, body)).await;
    }
    match no_body(&parts.method, body, timeout).await {
        Ok(()) => next.run(Request::from_parts(parts, axum::body::Body::empty())).await,
        Err(refused) => refused.into_response(),
    }
}

async fn counted(State(metrics): State<Arc<RequestMetrics>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let at_work = metrics.at_work();
    let response = next.run(request).await;
    drop(at_work);
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    metrics.answered(&method, route, response.status(), began.elapsed());
    if let Some(HiddenCause(cause)) = response.extensions().get() {
        metrics.failed(route, cause);
    }
    response
}

/// Refuses a request without the one `Host` that HTTP/1.1 asks for (RFC 9112, 3.2).
pub(crate) fn without_host<B>(request: &axum::http::Request<B>) -> Option<Response> {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    let refused = || ApiError::header("host", "a request of HTTP/1.1 needs one Host header").into_response();
    (request.version() == Version::HTTP_11 && hosts != 1).then(refused)
}

async fn no_such_path(uri: Uri) -> ApiError {
    ApiError::new(&NO_SUCH_PATH, format!("there is nothing at {}", shortened(uri.path())))
}

/// 405 for a method that a path does not take; the router adds `Allow`.
async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let detail = format!("{} does not take {}", shortened(uri.path()), shortened(method.as_str()));
    ApiError::new(&METHOD_NOT_ALLOWED, detail)
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is tower-http's")]
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    tracing::error!(text, "a request handler panicked");
    ApiError::fault().into_response()
}
