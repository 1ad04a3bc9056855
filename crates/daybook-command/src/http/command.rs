//! A command over HTTP: headers and body in, the answer out. The same course for every command of every service.

use std::borrow::Cow;

use axum::body::Body as RawBody;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use daybook_event::headers;
use daybook_event::token::{Token, TokenPosition};
use daybook_service::http::problem_types::REQUEST_IN_FLIGHT;
use daybook_service::http::{
    After, ApiError, Body, Conditions, EntityTags, joined, json, no_parameters, one, parse_id, shortened, tag,
};
use uuid::Uuid;

use crate::aggregate::Aggregate;
use crate::command::{self, Accepted, Cause, CommandError, Condition, Outcome, Versions, Written};
use crate::commit::idempotency::{Held, HeldBy, IdempotencyKey, RequestParts};
use crate::references::Followed;
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
        Ok(outcome) => answer::<A>(&parts.method, parts.uri.path(), outcome),
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

/// Conditions count as they were spelled: a client that repeats a request sends the same bytes.
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
        HeldBy::OtherRequest => CommandError::KeyReused.into(),
    })
}

/// The answer is made of the outcome and the request, so a repeated request gets the first answer again.
fn answer<A: Aggregate>(method: &Method, path: &str, outcome: Outcome) -> Response {
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

/// Longest key, without quotes.
const KEY_CHARS_MAX: usize = 200;

/// `Idempotency-Key`: a string in quotes, as the draft has it, or the same characters without them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SentKey<'r> {
    /// The characters that it consists of; `abc` and `"abc"` are one key.
    pub(super) key: Cow<'r, str>,
    pub(super) header: &'r str,
}

impl<'r> SentKey<'r> {
    pub(super) fn read(from: &'r HeaderMap) -> Result<Option<Self>, ApiError> {
        one(from, headers::IDEMPOTENCY_KEY)?.map(Self::parse).transpose()
    }

    /// Only a key in quotes may have spaces.
    fn parse(header: &'r str) -> Result<Self, ApiError> {
        let key = match header.strip_prefix('"') {
            Some(quoted) => unquoted(quoted).map(Cow::Owned),
            None => Some(Cow::Borrowed(header)).filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic())),
        };
        let key = key.filter(|key| (1..=KEY_CHARS_MAX).contains(&key.len())).ok_or_else(malformed)?;
        Ok(Self { key, header })
    }
}

/// What stands behind the first quote, up to the last one, with `\"` for a quote and `\\` for a backslash in it.
fn unquoted(text: &str) -> Option<String> {
    let mut key = String::with_capacity(text.len());
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(key),
            '\\' => key.push(characters.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            character @ ' '..='~' => key.push(character),
            _ => return None,
        }
    }
}

fn malformed() -> ApiError {
    let detail = format!(
        "Idempotency-Key must have 1 to {KEY_CHARS_MAX} visible ASCII characters without spaces, or be a string in quotes of as \
         many characters, in which spaces may be, with \\\" for a quote and \\\\ for a backslash"
    );
    ApiError::header(headers::IDEMPOTENCY_KEY, detail)
}
