//! What a service says while it starts: it lives, it is not ready, and this is how far it is.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::http::not_allowed;
use super::http::operations::{figures, live};
use super::http::refusal::Refusal;
use super::metrics::of_a_start;
use super::readiness::NotReady;

/// How far a start is, in words.
#[derive(Debug, Default)]
pub(crate) struct Starting {
    said: Mutex<String>,
}

impl Starting {
    /// The start has come to this.
    pub(crate) fn says(&self, what: impl Into<String>) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = what.into();
    }

    fn said(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if said.is_empty() { "it has just begun".to_owned() } else { said }
    }
}

/// The routes of a service that starts.
pub(crate) fn router(starting: Arc<Starting>) -> Router {
    Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(not_ready))
        .route("/metrics", get(metrics))
        .fallback(refused)
        .method_not_allowed_fallback(not_allowed)
        .with_state(starting)
}

async fn not_ready(State(starting): State<Arc<Starting>>) -> Response {
    let detail = NotReady::Starting(starting.said()).to_string();
    Refusal::unavailable("not-ready", "Not ready", detail).into_response()
}

async fn metrics(State(starting): State<Arc<Starting>>) -> Response {
    figures(of_a_start(NotReady::Starting(starting.said())))
}

/// For clients: what the start has met names directories and brokers.
async fn refused() -> Response {
    let detail = "the service is starting; try again, /health/ready says how far it is";
    Refusal::unavailable("starting", "Service is starting", detail).into_response()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::Call;

    #[tokio::test]
    async fn clients_of_a_start_see_no_directory_and_operators_do() {
        let starting = Arc::new(Starting::default());
        starting.says("the disk under /var/lib/daybook fails");
        let router = router(starting);
        let refused = Call::get("/users/1").send(&router).await;
        assert!(!refused.is_problem(503, "starting").text("detail").contains("/var"), "{refused:?}");
        Call::post("/health/ready", &json!({})).send(&router).await.is_problem(405, "method-not-allowed");
        let ready = Call::get("/health/ready").send(&router).await;
        assert!(ready.is_problem(503, "not-ready").text("detail").contains("/var"), "{ready:?}");
        let shown =
            String::from_utf8(Call::get("/metrics").send(&router).await.is(200).body.to_vec()).unwrap();
        for line in ["daybook_ready 0\n", "daybook_not_ready{reason=\"starting\"} 1\n"] {
            assert!(shown.contains(line), "{line} in {shown}");
        }
    }
}
