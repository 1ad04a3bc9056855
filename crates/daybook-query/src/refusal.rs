//! Answers that are not what was asked for: problem details, and the headers that go with them.

use std::fmt::Display;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use daybook_event::headers;
use daybook_event::problem::{MEDIA_TYPE, Problem};
use daybook_event::token::TokenPosition;
use daybook_projection::StoreError;

use super::limits::RETRY_AFTER_S;
use super::marks::Marks;

/// A problem on its way to the client.
#[derive(Debug, Clone)]
pub struct Refusal(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    problem: Problem,
    as_of: Option<HeaderValue>,
    quarantined: Option<HeaderValue>,
    unreadable: Option<Unreadable>,
}

/// Goes with an answer, for whoever counts: why rows could not be read.
#[derive(Debug, Clone)]
pub(super) struct Unreadable(pub(super) Arc<str>);

impl Refusal {
    /// 400 because of one query parameter or path segment.
    pub fn parameter(name: &str, detail: impl Into<String>) -> Self {
        Problem::new(400, "bad-parameter", "A parameter of the request is wrong", detail)
            .with("parameter", shortened(name))
            .into()
    }

    /// 400 because of one request header.
    pub fn header(name: &str, detail: impl Into<String>) -> Self {
        Problem::new(400, "bad-header", "A header of the request is wrong", detail)
            .with("header", name)
            .into()
    }

    /// 404 because there is no such row, or no longer.
    pub fn unknown(what: &str, id: impl std::fmt::Display) -> Self {
        let detail = format!("there is no {what} {id}, or it was deleted");
        Problem::new(404, "not-found", format!("There is no such {what}"), detail).into()
    }

    /// 503 because the answer would not be true yet.
    pub fn not_yet(slug: &str, title: &str, detail: impl Into<String>) -> Self {
        Problem::new(503, slug, title, detail).into()
    }

    /// 503 because too much is being asked at once.
    #[must_use]
    pub fn overloaded() -> Self {
        let detail = "too many requests are at work; try again in a moment";
        Self::not_yet("overloaded", "Too many requests at once", detail)
    }

    /// 503 because too many wait already for what is not projected yet.
    #[must_use]
    pub fn too_many_waiting() -> Self {
        let detail = format!(
            "the projection is behind, and too many requests wait for it; come again after Retry-After, or without {} for an older \
             answer",
            headers::AFTER
        );
        Self::not_yet("too-many-waiting", "Too many requests wait for the projection", detail)
    }

    /// 503 because the answer took too long.
    #[must_use]
    pub fn too_slow() -> Self {
        let detail = "the answer, or its waiting behind others, took too long and was given up; try again, or ask for a smaller page";
        Self::not_yet("too-slow", "The answer took too long", detail)
    }

    /// 503 because an event that was asked for waits.
    #[must_use]
    pub fn quarantined(at: &TokenPosition, key: &str) -> Self {
        let TokenPosition { topic, partition, position } = at;
        let detail = format!(
            "the event at {topic}/{partition}@{position} waits in quarantine with others of key {key}, and has not been \
             projected; /status says why. Come again once it is released, or without {} for an answer without it",
            headers::AFTER
        );
        let problem = Problem::new(503, "quarantined", "The event waits in quarantine", detail);
        Self::from(problem).marked(&[key.to_owned()], HeaderValue::try_from(key).ok())
    }

    /// 413 because the request has a body.
    #[must_use]
    pub fn with_body() -> Self {
        Problem::new(413, "body-too-large", "Body too large", "a query takes no body; send none").into()
    }

    /// 500 because the read model cannot be read. The cause is for the log, not for the client.
    #[must_use]
    pub fn unreadable(cause: &dyn Display) -> Self {
        let detail = "the read model could not be read; its operator finds the cause in the log, and a replay \
                      rebuilds it";
        let problem = Problem::new(500, "read-model-unreadable", "The read model cannot be read", detail);
        let mut refusal = Self::from(problem);
        refusal.0.unreadable = Some(Unreadable(cause.to_string().into()));
        refusal
    }

    /// 500 because of a defect of this program, which its log describes.
    #[must_use]
    pub fn fault() -> Self {
        let detail = "the request met a fault of this service; its log says more";
        Problem::new(500, "internal", "Internal fault", detail).into()
    }

    /// 500 with the cause, for those who look after the read model.
    #[must_use]
    pub fn damaged(cause: &StoreError) -> Self {
        Problem::new(500, "read-model-unreadable", "The read model cannot be read", cause.to_string()).into()
    }

    /// The problem itself.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.0.problem
    }

    /// With the positions that this answer rests on.
    #[must_use]
    pub fn as_of(mut self, positions: Option<HeaderValue>) -> Self {
        self.0.as_of = positions;
        self
    }

    /// With the keys that it depends on and of which events wait.
    #[must_use]
    pub fn marks(self, marks: &Marks) -> Self {
        self.marked(&marks.keys(), marks.header())
    }

    fn marked(mut self, keys: &[String], header: Option<HeaderValue>) -> Self {
        if !keys.is_empty() {
            self.0.problem = self.0.problem.with("quarantined", keys.to_vec());
        }
        self.0.quarantined = header;
        self
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(Parts { problem, as_of: None, quarantined: None, unreadable: None }))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Parts { problem, as_of, quarantined, unreadable } = *self.0;
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Strings and numbers only, which JSON can always express.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let found = response.headers_mut();
        found.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            found.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        if let Some(positions) = as_of {
            found.insert(headers::AS_OF, positions);
        }
        if let Some(keys) = quarantined {
            found.insert(headers::QUARANTINED, keys);
        }
        if let Some(unreadable) = unreadable {
            response.extensions_mut().insert(unreadable);
        }
        response
    }
}

/// 404 for a path that is not in the route table.
pub async fn no_such_path(uri: Uri) -> Refusal {
    let detail =
        format!("there is nothing at {}; the endpoints are listed in the README", shortened(uri.path()));
    Problem::new(404, "no-such-path", "There is nothing at this path", detail).into()
}

/// 405 for a method that a path does not take.
pub async fn wrong_method(method: Method, uri: Uri) -> Response {
    let detail =
        format!("{} takes GET, not {method}: this service only answers queries", shortened(uri.path()));
    let problem = Problem::new(405, "method-not-allowed", "This path does not take this method", detail);
    let mut response = Refusal::from(problem).into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// Longest piece of a request that is shown back.
const SHOWN_CHARS_MAX: usize = 100;

/// Whatever the client sent, short enough to be shown back.
pub fn shortened(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}
