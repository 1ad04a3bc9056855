//! Bodies that do not come.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Request;
use daybook_service::{ConnectionLimits, serve};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
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
async fn a_body_where_none_is_taken_is_waited_for_no_longer_than_a_request_may_take() {
    let broker = broker();
    let toys = TestService::<Toys>::start_with(broker.kafka(""), router, |settings| {
        settings.limits.body_timeout = Duration::from_secs(3600);
        settings.limits.request_timeout = Duration::from_millis(10);
    });
    let request = Request::get("/toys/018f8e3e-0000-7000-8000-000000000000");
    let answer = toys.router.clone().oneshot(request.body(Body::new(Stalled(None))).unwrap());
    let answer = tokio::time::timeout(Duration::from_secs(30), answer).await.expect("an answer in time");
    assert_eq!(answer.unwrap().status(), 408);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_said_to_be_too_large_is_refused_before_any_of_it_has_come() {
    let broker = broker();
    let toys = TestService::<Toys>::start_with(broker.kafka(""), router, |settings| {
        settings.limits.body_timeout = Duration::from_secs(60);
        settings.limits.request_timeout = Duration::from_secs(60);
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let connections = ConnectionLimits::default();
    let serving = tokio::spawn(serve(listener, toys.router.clone(), connections, std::future::pending()));
    let head = "POST /toys HTTP/1.1\r\nhost: toys\r\ncontent-type: application/json\r\ncontent-length: 16385\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let said = async {
        while !String::from_utf8_lossy(&answer).contains("/problems/body-too-large") {
            assert!(client.read_buf(&mut answer).await.unwrap() > 0, "{}", String::from_utf8_lossy(&answer));
        }
    };
    tokio::time::timeout(Duration::from_secs(30), said).await.expect("an answer without the body");
    assert!(answer.starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&answer));
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_where_none_is_taken_is_refused_and_an_empty_one_is_none() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let made = Call::post("/toys", &json!({"name": "bear"})).send(&toys.router).await;
    let path = format!("/toys/{}", made.is(201).text("toy_id"));
    for call in [Call::get(&path), Call::delete(&path)] {
        call.body("x").send(&toys.router).await.is_problem(400, "unexpected-body");
    }
    Call::get(format!("{path}?x=1")).send(&toys.router).await.is_problem(400, "malformed-parameter");
    Call::delete(format!("{path}?x=1")).send(&toys.router).await.is_problem(400, "malformed-parameter");
    Call::delete(&path).send(&toys.router).await.is(204);
}
