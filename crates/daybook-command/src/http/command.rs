//! A command over HTTP: headers and body in, the answer out. The same course for every command of every service.

use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use daybook_event::problem::Problem;
use uuid::Uuid;

use super::answer;
use super::body::Body;
use super::idempotency_key::SentKey;
use super::refusal::Refusal;
use super::request_headers::RequestHeaders;
use crate::aggregate::Aggregate;
use crate::command::{self, Cause, Undecided};
use crate::idempotency::{Held, HeldBy, IdempotencyKey, RequestParts};
use crate::outcome::Outcome;
use crate::service::Service;

/// Reads a request, has its command decided, and answers. `build` makes the command of the body; a request without one gets
/// an empty one.
pub(super) async fn command<A: Aggregate>(
    service: &Service<A>,
    request: Request,
    is_fresh: bool,
    build: impl FnOnce(&Body) -> Result<A::Command, Refusal>,
) -> Response {
    let (parts, body) = request.into_parts();
    match execute(service, &parts, body, is_fresh, build).await {
        Ok(outcome) => answer::outcome::<A>(&parts.method, parts.uri.path(), outcome),
        Err(refusal) => refusal.into_response(),
    }
}

async fn execute<A: Aggregate>(
    service: &Service<A>,
    parts: &Parts,
    body: axum::body::Body,
    is_fresh: bool,
    build: impl FnOnce(&Body) -> Result<A::Command, Refusal>,
) -> Result<Outcome, Refusal> {
    let headers = RequestHeaders::parse(&parts.headers)?;
    let has_body = parts.method != Method::DELETE;
    let timeout = service.limits.body_timeout;
    let body = if has_body { Body::read(&parts.headers, body, timeout).await? } else { Body::default() };
    let command = build(&body)?;
    let idempotency = headers.idempotency_key.map(|key| hashed(&key, parts, &body));
    // Held until the outcome is known: a second request with this key meanwhile is refused.
    let _held = idempotency.map(|key| hold(service, &key)).transpose()?;
    if let Some(token) = &headers.after {
        service.after(token, headers.wait).await?;
    }
    let cause = Cause {
        correlation_id: headers.correlation_id.unwrap_or_else(|| service.ambient.new_id()),
        command_id: service.ambient.new_id(),
        traceparent: headers.traceparent,
    };
    let request = command::Request { command, is_fresh, if_match: headers.if_match, idempotency, cause };
    Ok(service.execute(request).await?)
}

fn hashed(sent: &SentKey<'_>, parts: &Parts, body: &Body) -> IdempotencyKey {
    let request = RequestParts {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        condition: parts.headers.get(header::IF_MATCH).map(HeaderValue::as_bytes).unwrap_or_default(),
        body: body.bytes(),
    };
    IdempotencyKey::new(&sent.key, sent.header, &request)
}

fn hold<A: Aggregate>(service: &Service<A>, key: &IdempotencyKey) -> Result<Held, Refusal> {
    service.in_flight.hold(key).map_err(|by| match by {
        HeldBy::SameRequest => {
            let detail =
                "a request with this Idempotency-Key is being worked on; repeat it when that is done";
            Problem::new(409, "request-in-flight", "Request in flight", detail).into()
        }
        HeldBy::OtherRequest => Undecided::KeyReused.into(),
    })
}

/// The id in the path, its segment number `at`, which stands for `name` in the route.
pub(super) fn path_id(request: &Request, name: &str, at: usize) -> Result<Uuid, Refusal> {
    // Before the first slash there is nothing.
    let text = request.uri().path().split('/').nth(at + 1).unwrap_or_default();
    // Only the usual form with hyphens: one resource has one path.
    let id = Some(text).filter(|text| text.len() == 36).and_then(|text| Uuid::try_parse(text).ok());
    id.ok_or_else(|| {
        let detail = format!("{name} is `{}`, expected a UUID", text.chars().take(60).collect::<String>());
        Problem::new(400, "malformed-id", "Malformed id", detail).with("field", name).into()
    })
}
