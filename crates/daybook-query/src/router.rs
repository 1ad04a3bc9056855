//! The route table: what every query-api answers, whatever its domain, around the domain's own routes.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use tower_http::catch_panic::CatchPanicLayer;

use super::answer;
use super::api::Api;
use super::asked::Asked;
use super::guard::guard;
use super::metrics;
use super::refusal::{Refusal, no_such_path, wrong_method};
use super::status::{self, Status};

/// All routes. `routes` are those of the domain.
pub(super) fn router(routes: Router<Arc<Api>>, api: Arc<Api>) -> Router {
    let queries = routes.route("/status", get(show_status));
    // Health and metrics stay outside the bound on requests: they are needed most when it is reached.
    let watched = Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(show_metrics));
    queries
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        // Within the guard, so that a panic is counted as what it is answered with.
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(api.clone(), guard))
        .merge(watched.method_not_allowed_fallback(wrong_method))
        .layer(CatchPanicLayer::custom(panicked))
        .with_state(api)
}

fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    tracing::error!(said, "a request handler panicked");
    Refusal::fault().into_response()
}

async fn show_status(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Refusal> {
    asked.no_parameters()?;
    let status = shown(&api);
    Ok(answer::untagged(answer::render(&status, status.partitions.len())?))
}

async fn live() -> &'static str {
    "alive\n"
}

async fn ready(State(api): State<Arc<Api>>) -> Response {
    if status::ready(api.serving_now().as_deref()) {
        let troubles = status::troubles(&shown(&api));
        return troubles.iter().fold("ready\n".to_owned(), |said, why| said + why + "\n").into_response();
    }
    let detail = if api.is_opening() {
        "the read model is being opened, or cannot be opened yet and is tried again; /status says why"
    } else if api.has_nothing_to_serve() {
        "the read model is being built from the log; /status says how far it is, or why it is not yet"
    } else {
        "the read model has not yet reached the end of the log as it was at the start; /status says how far it is"
    };
    Refusal::not_yet("not-ready", "Not ready yet", detail).into_response()
}

async fn show_metrics(State(api): State<Arc<Api>>) -> Result<Response, Refusal> {
    let text = metrics::text(&api, &shown(&api)).map_err(|error| {
        tracing::error!(%error, "metrics cannot be written");
        Refusal::fault()
    })?;
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
    Ok(response)
}

fn shown(api: &Api) -> Status {
    status::status(api, api.serving_now().as_deref(), &api.measured.load(), Timestamp::now())
}
