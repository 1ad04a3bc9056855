//! What every process answers to operators and to whoever looks a problem up: health, figures, the kinds of problems.

use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use daybook_event::problem::ProblemType;
use serde_json::{Value, json};

use super::answer;
use super::api_error::ApiError;
use super::guard::unguarded;
use super::problem_types::{KERNEL, NO_SUCH_PATH, NOT_READY};
use super::shortened;

/// Media type of the figures.
const FIGURES: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The routes of operators. `domain` are the kinds of problems that the domain adds.
pub fn operations<S: Clone + Send + Sync + 'static>(
    ready: MethodRouter<S>,
    figures: MethodRouter<S>,
    domain: &'static [&'static ProblemType],
) -> Router<S> {
    let routes = Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", ready)
        .route("/metrics", figures)
        .route("/problems", get(move || async move { problems(domain) }))
        .route(
            "/problems/{slug}",
            get(move |Path(slug): Path<String>| async move { problem(domain, &slug) }),
        );
    unguarded(routes)
}

/// The process answers.
async fn live() -> Response {
    json_of(&json!({"status": "live"}))
}

/// The answer to `/health/ready`: 200 with `status`, and what else is to be known; or 503 with the reason.
#[must_use]
pub fn readiness(readiness: Result<Value, String>) -> Response {
    match readiness {
        Ok(mut known) => {
            known["status"] = "ready".into();
            json_of(&known)
        }
        Err(reason) => ApiError::new(&NOT_READY, reason).into_response(),
    }
}

/// A page of figures.
#[must_use]
pub fn figures(text: String) -> Response {
    ([(header::CONTENT_TYPE, FIGURES)], text).into_response()
}

fn problems(domain: &[&ProblemType]) -> Response {
    let all: Vec<Value> = KERNEL.iter().chain(domain).map(|kind| described(kind)).collect();
    json_of(&all.into())
}

fn problem(domain: &[&ProblemType], slug: &str) -> Response {
    let found = KERNEL.iter().chain(domain).find(|kind| kind.slug == slug);
    let unknown = || ApiError::new(&NO_SUCH_PATH, format!("there is no problem {}", shortened(slug)));
    found.map_or_else(|| unknown().into_response(), |kind| json_of(&described(kind)))
}

fn described(kind: &ProblemType) -> Value {
    json!({"type": kind.path(), "status": kind.status, "title": kind.title, "meaning": kind.meaning})
}

fn json_of(value: &Value) -> Response {
    answer::json(StatusCode::OK, value.to_string().into_bytes())
}
