//! Routes as data: what each takes, and what contradicts itself.

use std::future::pending;
use std::time::Duration;

use axum::http::Method;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::toy::{ToyCommand, router, routes};
use crate::testing::{Call, TestService, broker, settings};

/// Far longer than a refusal takes.
const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn an_action_is_done_to_the_aggregate_that_its_path_names() {
    let toys = TestService::start(broker().kafka(""), router);
    let made = Call::post("/toys", &json!({"name": "top"})).send(&toys.router).await;
    let path = made.is(201).header("location").unwrap().to_owned();
    Call::post(format!("{path}/coats"), &json!({"coats": 2})).send(&toys.router).await.is(200);
    let shown = Call::get(path).send(&toys.router).await;
    assert_eq!(shown.is(200).json()["coats"], 2);
    let wrong = Call::post("/toys/top/coats", &json!({"coats": 2})).send(&toys.router).await;
    wrong.is_problem(400, "malformed-id").names_parameter("toy_id");
    let shown = Call::get("/toys/top/coats").send(&toys.router).await;
    shown.is_problem(405, "method-not-allowed");
}

#[test]
fn routes_say_what_they_take() {
    let routes = routes();
    let said: Vec<_> =
        routes.iter().map(|route| (&route.method, route.path.as_str(), route.body.is_some())).collect();
    assert_eq!(
        said,
        [
            (&Method::POST, "/toys", true),
            (&Method::PATCH, "/toys/{toy_id}", true),
            (&Method::POST, "/toys/{toy_id}/coats", true),
            (&Method::DELETE, "/toys/{toy_id}", false),
        ]
    );
}

#[tokio::test]
async fn a_service_with_two_routes_of_one_method_and_path_does_not_start() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let twice = routes().delete(ToyCommand::Lose);
    let started = crate::run(settings(broker.kafka(""), dir.path()), listener, pending(), twice);
    let error = timeout(DEADLINE, started).await.unwrap().unwrap_err().to_string();
    assert!(error.contains("the route DELETE /toys/{toy_id} is declared twice"), "{error}");
}
