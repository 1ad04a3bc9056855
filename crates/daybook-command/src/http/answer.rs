//! Outcomes and states as HTTP. An answer is made of the outcome and the request, so a repeated request gets the first
//! answer again.

use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use daybook_event::token::{Token, TokenPosition};

use super::refusal::Refusal;
use crate::aggregate::{Aggregate, Followed};
use crate::outcome::{Accepted, Outcome, Written};

/// The answer to a command that came with `method` to `path`.
pub(super) fn outcome<A: Aggregate>(method: &Method, path: &str, outcome: Outcome) -> Response {
    match outcome {
        Outcome::Accepted(accepted) => self::accepted::<A>(method, path, accepted),
        Outcome::Rejected(problem) => Refusal::from(problem).into_response(),
    }
}

/// 201 for what was created at the path of a collection; 204 where nothing is left to show, or nobody wants to see it.
fn accepted<A: Aggregate>(method: &Method, path: &str, accepted: Accepted) -> Response {
    let token = token(&accepted, A::TOPIC, A::FOLLOWS);
    let location = accepted.created.map(|id| format!("{path}/{id}"));
    let shown = accepted.state.filter(|_| *method != Method::DELETE);
    let status = match (&location, &shown) {
        (Some(_), _) => StatusCode::CREATED,
        (None, Some(_)) => StatusCode::OK,
        (None, None) => StatusCode::NO_CONTENT,
    };
    let mut response = match shown {
        Some(state) => state_with(status, accepted.version, state),
        None => (status, Vec::new()).into_response(),
    };
    put(&mut response, header::LOCATION, location);
    put(
        &mut response,
        HeaderName::from_static(daybook_event::headers::TOKEN),
        token.map(|token| token.to_string()),
    );
    response
}

/// A state, as JSON, to whoever reads it.
pub(super) fn state(version: u64, state: Vec<u8>) -> Response {
    state_with(StatusCode::OK, version, state)
}

fn state_with(status: StatusCode, version: u64, state: Vec<u8>) -> Response {
    let mut response = (status, state).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    put(&mut response, header::ETAG, Some(format!("\"{version}\"")));
    response
}

fn put(response: &mut Response, name: HeaderName, value: Option<String>) {
    // All values are made of ids, numbers, fixed text and paths that have come as HTTP.
    if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
        response.headers_mut().insert(name, value);
    }
}

/// What was written in `topic`, and what of the topics of `follows` that depends on. None if nothing was written.
fn token(accepted: &Accepted, topic: &str, follows: &[Followed]) -> Option<Token> {
    let position = |topic: &str, at: Written| TokenPosition {
        topic: topic.to_owned(),
        partition: at.partition,
        position: at.position,
    };
    let written = accepted.written.iter().map(|written| position(topic, *written));
    let depends_on = accepted.depends_on.iter().filter_map(|depends_on| {
        follows.get(usize::from(depends_on.table)).map(|followed| position(followed.topic, depends_on.at))
    });
    (!accepted.written.is_empty()).then(|| Token { positions: written.chain(depends_on).collect() })
}
