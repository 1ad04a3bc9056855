//! What a service says while it starts: it lives, it is not ready, and this is how far it is.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use daybook_event::problem::ProblemType;
use daybook_service::http::problem_types::STARTING;
use daybook_service::http::{ApiError, figures, operations, readiness};

use super::metrics::of_a_start;
use super::readiness::NotReady;

#[derive(Debug, Default)]
pub(crate) struct Starting {
    said: Mutex<String>,
}

impl Starting {
    pub(crate) fn says(&self, what: impl Into<String>) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = what.into();
    }

    fn text(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if said.is_empty() { "it has just begun".to_owned() } else { said }
    }
}

/// The routes of a service that starts. `problems` are the kinds that its domain adds.
pub(crate) fn router(starting: Arc<Starting>, problems: &[&'static [ProblemType]]) -> Router {
    let routes = operations(get(not_ready), get(metrics), problems);
    routes.fallback(refused).with_state(starting)
}

async fn not_ready(State(starting): State<Arc<Starting>>) -> Response {
    readiness(Err(NotReady::Starting(starting.text()).to_string()))
}

async fn metrics(State(starting): State<Arc<Starting>>) -> Response {
    figures(of_a_start(NotReady::Starting(starting.text())))
}

/// For clients: what the start has met names directories and brokers.
async fn refused() -> ApiError {
    ApiError::new(&STARTING, "the service is starting; try again, /health/ready says how far it is")
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
        let router = router(starting, &[]);
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
