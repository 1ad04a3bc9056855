//! Outcomes as HTTP. An answer is made of the outcome and the request, so a repeated request gets the first answer again.

use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use daybook_event::headers;
use daybook_event::token::{Token, TokenPosition};
use daybook_service::http::{ApiError, json, tag};

use crate::aggregate::Aggregate;
use crate::outcome::{Accepted, Outcome, Written};
use crate::references::Followed;

/// The answer to a command that came with `method` to `path`.
pub(super) fn outcome<A: Aggregate>(method: &Method, path: &str, outcome: Outcome) -> Response {
    match outcome {
        Outcome::Accepted(accepted) => self::accepted::<A>(method, path, accepted),
        Outcome::Rejected(problem) => ApiError::from(problem).into_response(),
    }
}

/// 201 for what was created at the path of a collection; 204 where nothing is left to show.
fn accepted<A: Aggregate>(method: &Method, path: &str, accepted: Accepted) -> Response {
    let token = token(&accepted, A::TOPIC, A::FOLLOWS);
    let location = accepted.created.map(|id| format!("{path}/{id}"));
    let shown = accepted.state.filter(|_| *method != Method::DELETE);
    let status = if location.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = match shown {
        Some(state) => {
            let mut response = json(status, state);
            tag(&mut response, &accepted.version.to_string());
            response
        }
        None if location.is_some() => status.into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    };
    // Made of ids, numbers, fixed text and paths that have come as HTTP.
    let location = location.and_then(|location| HeaderValue::try_from(location).ok());
    response.headers_mut().extend(location.map(|location| (header::LOCATION, location)));
    response.headers_mut().extend(token_header(headers::TOKEN, &token));
    response
}

/// The header `name` with one position, if it is known.
pub(super) fn position_header(
    name: &'static str,
    topic: &str,
    at: Option<Written>,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let token = Token { positions: at.into_iter().map(|at| position(topic, at)).collect() };
    token_header(name, &token).into_iter()
}

fn token_header(name: &'static str, token: &Token) -> Option<(HeaderName, HeaderValue)> {
    let value = HeaderValue::try_from(token.to_header()).ok().filter(|value| !value.is_empty())?;
    Some((HeaderName::from_static(name), value))
}

/// What was written in `topic`, or where the state that is shown was written before; and what of the topics of `follows` that
/// depends on.
fn token(accepted: &Accepted, topic: &str, follows: &[Followed]) -> Token {
    let own = accepted.written.iter().chain(&accepted.stands_at).map(|at| position(topic, *at));
    let depends_on = accepted.depends_on.iter().filter_map(|depends_on| {
        follows.get(usize::from(depends_on.table)).map(|followed| position(followed.topic, depends_on.at))
    });
    Token { positions: own.chain(depends_on).collect() }
}

fn position(topic: &str, at: Written) -> TokenPosition {
    TokenPosition { topic: topic.to_owned(), partition: at.partition, position: at.position }
}
