//! What surrounds every route: bounds on time and number, no body where none is taken, problems instead of bare errors, and
//! counts of it all. No panic leaves.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::error_handling::HandleErrorLayer;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, Uri};
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
use super::request_metrics::{RequestMetrics, Route, label};
use super::shortened;

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
    // In one piece, and one function around it: each one more costs every request allocations.
    let bounds = ServiceBuilder::new()
        .layer(from_fn_with_state((metrics, limits.body_timeout.min(timeout)), counted))
        .layer(HandleErrorLayer::new(move |error: BoxError| async move { given_up(&error, timeout) }))
        .load_shed()
        .option_layer(limits.requests_max.map(GlobalConcurrencyLimitLayer::new))
        .layer(TimeoutLayer::new(timeout))
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

/// Counts a request, and refuses a body where none is taken: outside of the bounds, since who waits for one takes no place.
async fn counted(
    State((metrics, body_timeout)): State<(Arc<RequestMetrics>, Duration)>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let method = label(request.method());
    let route = Route(request.extensions().get::<MatchedPath>().cloned());
    let at_work = metrics.at_work();
    let response = match without_body(request, body_timeout).await {
        Ok(request) => next.run(request).await,
        Err(refused) => refused.into_response(),
    };
    drop(at_work);
    metrics.answered(method, &route, response.status(), began.elapsed());
    if let Some(HiddenCause(cause)) = response.extensions().get() {
        metrics.failed(&route, cause);
    }
    response
}

async fn without_body(request: Request, timeout: Duration) -> Result<Request, ApiError> {
    if !super::body::takes_none(request.method()) {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    no_body(&parts.method, body, timeout).await?;
    Ok(Request::from_parts(parts, Body::empty()))
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
