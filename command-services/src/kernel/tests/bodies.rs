//! Bodies that do not come.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Request;
use tower::ServiceExt as _;

use super::toy::{Toys, router};
use crate::testing::{TestService, broker};

/// A body of which nothing ever comes.
struct Stalled;

impl HttpBody for Stalled {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
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
    let request = request.body(Body::new(Stalled)).unwrap();
    let response = toys.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 408);
}
