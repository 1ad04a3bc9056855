//! Answers: a state as JSON with its tag, or a problem with the headers that go with it.

use std::fmt::Display;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use daybook_event::headers;
use daybook_event::problem::{MEDIA_TYPE, Problem, ProblemType};
use serde_json::Value;

use super::entity_tags::{Conditions, Judged};
use super::problem_types::{FAULT, MALFORMED_HEADER, MALFORMED_ID, MALFORMED_PARAMETER, PRECONDITION_FAILED};
use super::shortened;

pub fn json(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    uncached(&mut response);
    response
}

/// The answer to a read under these conditions of what has the strong tag `opaque`: the state, 304 without it, or 412.
pub fn state(conditions: &Conditions, opaque: &str, headers: HeaderMap, body: Vec<u8>) -> Response {
    let mut response = match conditions.judge_read(opaque) {
        Judged::Holds => json(StatusCode::OK, body),
        Judged::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Judged::Fails => {
            let detail = format!("the resource has the tag \"{opaque}\", which If-Match does not name");
            ApiError::new(&PRECONDITION_FAILED, detail).into_response()
        }
    };
    uncached(&mut response);
    tag(&mut response, opaque);
    response.headers_mut().extend(headers);
    response
}

/// Gives a response the strong tag `opaque`: a version, or hexadecimal digits.
pub fn tag(response: &mut Response, opaque: &str) {
    if let Ok(tag) = HeaderValue::try_from(format!("\"{opaque}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
}

/// A cache asks each time, and takes the answer to one token for none to another: "you read what you wrote" also holds
/// behind one.
fn uncached(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static(headers::AFTER));
}

/// `Retry-After` of every 503, in seconds: what passes usually has by then.
const RETRY_AFTER_S: u16 = 1;
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// A problem on its way to the client.
#[derive(Debug, Clone)]
pub struct ApiError(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    problem: Problem,
    headers: HeaderMap,
    cause: Option<HiddenCause>,
}

/// Goes with a response, for the log: what the client is not shown.
#[derive(Debug, Clone)]
pub(super) struct HiddenCause(pub(super) Arc<str>);

impl ApiError {
    /// An error of a kind; `detail` says what was wrong here, and the remedy.
    pub fn new(kind: &ProblemType, detail: impl Into<String>) -> Self {
        Problem::of(kind, detail).into()
    }

    pub fn header(name: &str, detail: impl Into<String>) -> Self {
        Self::new(&MALFORMED_HEADER, detail).with("header", name)
    }

    pub fn parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::new(&MALFORMED_PARAMETER, detail).with("parameter", shortened(name))
    }

    pub fn id(name: &str, found: &str) -> Self {
        let detail =
            format!("{name} is `{}`, expected a UUID of 36 characters in lower case", shortened(found));
        Self::new(&MALFORMED_ID, detail).with("parameter", name)
    }

    /// 500 for what only a mistake of this program can cause; its log says what.
    pub fn fault() -> Self {
        Self::new(&FAULT, "the request met a fault of this service; its log says more")
    }

    /// Adds a member that a program can read.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.0.problem = self.0.problem.with(member, value);
        self
    }

    #[must_use]
    pub fn with_headers(mut self, headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> Self {
        self.0.headers.extend(headers);
        self
    }

    /// Keeps the cause for the log and the figures, and from the client.
    #[must_use]
    pub fn hiding(mut self, cause: &dyn Display) -> Self {
        self.0.cause = Some(HiddenCause(cause.to_string().into()));
        self
    }

    pub fn problem(&self) -> &Problem {
        &self.0.problem
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self(Box::new(Parts { problem, headers: HeaderMap::new(), cause: None }))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Parts { problem, headers, cause } = *self.0;
        // Strings and numbers only, which JSON can always express; should it fail, the status still stands.
        let mut response = serde_json::to_vec(&problem).unwrap_or_default().into_response();
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.status_mut() = status;
        let all = response.headers_mut();
        all.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        // What is not there now may be there in a moment: no cache may answer for it.
        all.insert(header::CACHE_CONTROL, if status.is_server_error() { NO_STORE } else { NO_CACHE });
        if status == StatusCode::SERVICE_UNAVAILABLE {
            all.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        all.extend(headers);
        if let Some(cause) = cause {
            response.extensions_mut().insert(cause);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::super::entity_tags::{EntityTag, EntityTags};
    use super::*;

    #[test]
    fn the_same_content_is_sent_once_and_no_cache_answers_unasked() {
        let given = |if_none_match| {
            let conditions = Conditions { if_match: None, if_none_match };
            state(&conditions, "a1", HeaderMap::new(), b"{}".to_vec())
        };
        let tags =
            |opaque: &str| EntityTags::Of(vec![EntityTag { is_weak: true, opaque: opaque.to_owned() }]);
        for known in [None, Some(tags("b2"))] {
            let answer = given(known);
            assert_eq!(
                (answer.status(), &answer.headers()[header::ETAG]),
                (StatusCode::OK, &HeaderValue::from_static("\"a1\""))
            );
            assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-cache");
            assert_eq!(answer.headers()[header::VARY], headers::AFTER);
        }
        for known in [tags("a1"), EntityTags::Any] {
            let answer = given(Some(known));
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()[header::ETAG]),
                (304, &HeaderValue::from_static("\"a1\""))
            );
            assert!(!answer.headers().contains_key(header::CONTENT_TYPE));
            assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-cache");
        }
    }
}

#[cfg(test)]
mod api_error_tests {
    use super::super::problem_types::{NOT_FOUND, NOT_READY};
    use super::*;

    #[test]
    fn what_may_pass_is_kept_by_no_cache_and_says_when_to_try_again() {
        let headers = |kind| ApiError::new(kind, "why").into_response().headers().clone();
        let (passing, lasting) = (headers(&NOT_READY), headers(&NOT_FOUND));
        assert_eq!(
            (&passing[header::CACHE_CONTROL], &passing[header::RETRY_AFTER]),
            (&NO_STORE, &HeaderValue::from(1))
        );
        assert_eq!((&lasting[header::CACHE_CONTROL], lasting.get(header::RETRY_AFTER)), (&NO_CACHE, None));
        assert_eq!(lasting[header::CONTENT_TYPE], MEDIA_TYPE);
    }
}
