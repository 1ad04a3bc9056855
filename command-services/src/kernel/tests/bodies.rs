//! Bodies that do not come.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Request;
use serde_json::json;
use tokio::sync::oneshot;
use tower::ServiceExt as _;

use super::toy::{Toys, router};
use crate::testing::{Call, TestService, broker};

/// A body of which nothing ever comes; says so when somebody begins to read it.
struct Stalled(Option<oneshot::Sender<()>>);

impl HttpBody for Stalled {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        if let Some(begun) = self.0.take() {
            let _ = begun.send(());
        }
        Poll::Pending
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_in_time_is_given_up() {
    let broker = broker();
    let toys = TestService::<Toys>::start_with(broker.kafka(""), router, |settings| {
        settings.limits.body_timeout = Duration::from_millis(10);
    });
    let request = Request::post("/toys").header("content-type", "application/json");
    let request = request.body(Body::new(Stalled(None))).unwrap();
    let response = toys.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 408);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_keeps_nobody_out() {
    let broker = broker();
    let toys = TestService::<Toys>::start_with(broker.kafka(""), router, |settings| {
        settings.limits.requests_max = 1;
        settings.limits.body_timeout = Duration::from_secs(60);
        settings.limits.request_timeout = Duration::from_secs(60);
    });
    let (begun, reading) = oneshot::channel();
    let request = Request::post("/toys").header("content-type", "application/json");
    let request = request.body(Body::new(Stalled(Some(begun)))).unwrap();
    let stalled = tokio::spawn(toys.router.clone().oneshot(request));
    reading.await.unwrap();
    let unknown = "/toys/018f8e3e-0000-7000-8000-000000000000";
    Call::get(unknown).send(&toys.router).await.is_problem(404, "toy-unknown");
    Call::post("/toys", &json!({"name": "bear"})).send(&toys.router).await.is(201);
    assert!(!stalled.is_finished());
    stalled.abort();
}
