//! What every process answers to operators, and to those who look a problem up: health, figures, the kinds of problems.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use daybook_event::problem::ProblemType;
use serde_json::{Value, json};

use super::answer;
use super::answer::ApiError;
use super::guard::unguarded;
use super::problem_types::{KERNEL, NO_SUCH_PATH, NOT_READY};
use super::shortened;

const FIGURES: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The routes of operators. `domain` are the kinds of problems that the domain adds, each once or more often.
pub fn operations<S: Clone + Send + Sync + 'static>(
    ready: MethodRouter<S>,
    figures: MethodRouter<S>,
    domain: &[&'static [ProblemType]],
) -> Router<S> {
    let mut kinds: Vec<ProblemType> = KERNEL.to_vec();
    for kind in domain.iter().copied().flatten() {
        if !kinds.contains(kind) {
            kinds.push(*kind);
        }
    }
    let kinds: Arc<[ProblemType]> = kinds.into();
    let all = Arc::clone(&kinds);
    let routes = Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", ready)
        .route("/metrics", figures)
        .route("/problems", get(move || async move { problems(&all) }))
        .route(
            "/problems/{slug}",
            get(move |Path(slug): Path<String>| async move { problem(&kinds, &slug) }),
        );
    unguarded(routes)
}

async fn live() -> Response {
    json_of(&json!({"status": "live"}))
}

/// The answer to `/health/ready`: 200 with `status`, and what else is to be known; or 503 with the reason.
pub fn readiness(readiness: Result<Value, String>) -> Response {
    match readiness {
        Ok(mut known) => {
            known["status"] = "ready".into();
            json_of(&known)
        }
        Err(reason) => ApiError::new(&NOT_READY, reason).into_response(),
    }
}

pub fn figures(text: String) -> Response {
    ([(header::CONTENT_TYPE, FIGURES)], text).into_response()
}

fn problems(kinds: &[ProblemType]) -> Response {
    json_of(&kinds.iter().map(described).collect())
}

fn problem(kinds: &[ProblemType], slug: &str) -> Response {
    match kinds.iter().find(|kind| kind.slug == slug) {
        Some(kind) => json_of(&described(kind)),
        None => {
            ApiError::new(&NO_SUCH_PATH, format!("there is no problem {}", shortened(slug))).into_response()
        }
    }
}

fn described(kind: &ProblemType) -> Value {
    json!({"type": kind.path(), "status": kind.status, "title": kind.title, "meaning": kind.meaning})
}

fn json_of(value: &Value) -> Response {
    answer::json(StatusCode::OK, value.to_string().into_bytes())
}
