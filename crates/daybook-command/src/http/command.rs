//! A command over HTTP: headers and body in, the answer out. The same course for every command of every service.

use axum::body::Body as RawBody;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use daybook_event::headers;
use daybook_service::http::problem_types::REQUEST_IN_FLIGHT;
use daybook_service::http::{
    After, ApiError, Body, Conditions, EntityTags, joined, no_parameters, one, parse_id, shortened,
};
use uuid::Uuid;

use super::answer;
use super::idempotency_key::SentKey;
use crate::aggregate::Aggregate;
use crate::command::{self, Cause, Condition, Undecided, Versions};
use crate::idempotency::{Held, HeldBy, IdempotencyKey, RequestParts};
use crate::outcome::Outcome;
use crate::service::Service;

/// Reads a request about an aggregate, has its command decided, and answers. `build` makes the command of the body; a request
/// without one gets an empty one.
pub(super) async fn command<A: Aggregate>(
    service: &Service<A>,
    parts: &Parts,
    body: RawBody,
    aggregate_id: Uuid,
    is_fresh: bool,
    build: impl FnOnce(&Body) -> Result<A::Command, ApiError>,
) -> Response {
    match execute(service, parts, body, aggregate_id, is_fresh, build).await {
        Ok(outcome) => answer::outcome::<A>(&parts.method, parts.uri.path(), outcome),
        Err(error) => error.into_response(),
    }
}

async fn execute<A: Aggregate>(
    service: &Service<A>,
    parts: &Parts,
    body: RawBody,
    aggregate_id: Uuid,
    is_fresh: bool,
    build: impl FnOnce(&Body) -> Result<A::Command, ApiError>,
) -> Result<Outcome, ApiError> {
    no_parameters(&parts.uri)?;
    let condition = condition(Conditions::read(&parts.headers)?);
    let (after, key) = (After::read(&parts.headers)?, SentKey::read(&parts.headers)?);
    let cause = cause(service, &parts.headers)?;
    let has_body = parts.method != Method::DELETE;
    let timeout = service.limits.body_timeout;
    let body = if has_body { Body::read(&parts.headers, body, timeout).await? } else { Body::default() };
    let command = build(&body)?;
    let idempotency = key.map(|key| hashed(&key, parts, &body)).transpose()?;
    // Held until the outcome is known: a second request with this key meanwhile is refused.
    let _held = idempotency.map(|key| hold(service, &key)).transpose()?;
    if let Some(token) = &after.token {
        service.after(token, after.wait).await?;
    }
    let request = command::Request { aggregate_id, command, is_fresh, condition, idempotency, cause };
    Ok(service.execute(request).await?)
}

/// Versions are the tags of a command service.
fn condition(read: Conditions) -> Condition {
    let versions = |tags: EntityTags, takes_weak: bool| match tags {
        EntityTags::Any => Versions::Any,
        EntityTags::Of(tags) => {
            let comparable = tags.into_iter().filter(|tag| takes_weak || !tag.is_weak);
            Versions::Of(comparable.filter_map(|tag| version(&tag.opaque)).collect())
        }
    };
    Condition {
        is_one_of: read.if_match.map(|tags| versions(tags, false)),
        is_none_of: read.if_none_match.map(|tags| versions(tags, true)),
    }
}

/// None for a tag that this service does not give: it equals none of its.
fn version(opaque: &str) -> Option<u64> {
    opaque.parse().ok().filter(|version: &u64| version.to_string() == opaque)
}

fn cause<A: Aggregate>(service: &Service<A>, from: &HeaderMap) -> Result<Cause, ApiError> {
    let correlation_id = one(from, headers::CORRELATION_ID)?.map(correlation_id).transpose()?;
    Ok(Cause {
        correlation_id: correlation_id.unwrap_or_else(|| service.ambient.new_id()),
        command_id: service.ambient.new_id(),
        traceparent: traceparent(from),
    })
}

fn correlation_id(text: &str) -> Result<Uuid, ApiError> {
    parse_id(text).ok_or_else(|| {
        let detail = format!(
            "{} is `{}`, expected a UUID of 36 characters in lower case",
            headers::CORRELATION_ID,
            shortened(text)
        );
        ApiError::header(headers::CORRELATION_ID, detail)
    })
}

/// W3C trace context says that a header which cannot be understood is to be ignored.
fn traceparent(from: &HeaderMap) -> Option<String> {
    let text = from.get(headers::TRACEPARENT)?.to_str().ok()?.trim();
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, span, flags] = parts[..] else { return None };
    let valid = version == "00" && is_id(trace, 32) && is_id(span, 16) && is_hex(flags, 2);
    valid.then(|| text.to_owned())
}

fn is_id(text: &str, digits: usize) -> bool {
    is_hex(text, digits) && text.bytes().any(|byte| byte != b'0')
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn hashed(sent: &SentKey<'_>, parts: &Parts, body: &Body) -> Result<IdempotencyKey, ApiError> {
    let mut condition = joined(&parts.headers, header::IF_MATCH.as_str())?.unwrap_or_default().into_owned();
    if let Some(not) = joined(&parts.headers, header::IF_NONE_MATCH.as_str())? {
        condition = format!("{condition}\n{not}");
    }
    let request = RequestParts {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        condition: condition.as_bytes(),
        body: body.bytes(),
    };
    Ok(IdempotencyKey::new(&sent.key, sent.header, &request))
}

fn hold<A: Aggregate>(service: &Service<A>, key: &IdempotencyKey) -> Result<Held, ApiError> {
    service.in_flight.hold(key).map_err(|by| match by {
        HeldBy::SameRequest => {
            let detail =
                "a request with this Idempotency-Key is being worked on; repeat it when that is done";
            ApiError::new(&REQUEST_IN_FLIGHT, detail)
        }
        HeldBy::OtherRequest => Undecided::KeyReused.into(),
    })
}
