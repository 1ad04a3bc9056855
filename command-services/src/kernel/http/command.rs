//! A command over HTTP: headers and body in, the answer out. The same course for every command of every service.

use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemas::problem::{MEDIA_TYPE, Problem};
use uuid::Uuid;

use super::body::Body;
use super::refusal::Refusal;
use super::request_headers::RequestHeaders;
use crate::kernel::aggregate::Aggregate;
use crate::kernel::answer::Answer;
use crate::kernel::command::{self, Cause, Present};
use crate::kernel::idempotency::{self, Held};
use crate::kernel::service::Service;

/// Reads a request, has its command decided, and answers.
///
/// `build` makes the command of the body; a request without a body gets an empty one.
pub(crate) async fn command<A: Aggregate>(
    service: &Service<A>,
    request: Request,
    build: impl FnOnce(&Body) -> Result<A::Command, Refusal>,
    present: Present<A>,
) -> Response {
    match answer(service, request, build, present).await {
        Ok(answer) => render::<A>(answer),
        Err(refusal) => refusal.into_response(),
    }
}

/// [`command`] on the aggregate whose id ends the path.
pub(crate) async fn command_on<A: Aggregate>(
    service: &Service<A>,
    request: Request,
    id_name: &str,
    build: impl FnOnce(Uuid, &Body) -> Result<A::Command, Refusal>,
    present: Present<A>,
) -> Response {
    match path_id(&request, id_name) {
        Ok(id) => command(service, request, |body| build(id, body), present).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn answer<A: Aggregate>(
    service: &Service<A>,
    request: Request,
    build: impl FnOnce(&Body) -> Result<A::Command, Refusal>,
    present: Present<A>,
) -> Result<Answer, Refusal> {
    let (parts, body) = request.into_parts();
    let headers = RequestHeaders::parse(&parts.headers)?;
    let has_body = parts.method != Method::DELETE;
    let timeout = service.limits.body_timeout;
    let body = if has_body { Body::read(&parts.headers, body, timeout).await? } else { Body::default() };
    let idempotency = headers.idempotency_key.map(|key| hashes(key, &parts, &body));
    // Held until the answer is known: a second request with this key meanwhile is refused.
    let _held = idempotency.map(|key| hold(service, key.hash)).transpose()?;
    let command = build(&body)?;
    if let Some(token) = &headers.after {
        service.after(token, headers.wait).await?;
    }
    let cause = Cause {
        correlation_id: headers.correlation_id.unwrap_or_else(|| service.ambient.new_id()),
        command_id: service.ambient.new_id(),
        traceparent: headers.traceparent,
    };
    let request = command::Request { command, present, if_match: headers.if_match, idempotency, cause };
    Ok(service.execute(request).await?)
}

fn hashes(key: &str, parts: &Parts, body: &Body) -> command::IdempotencyKey {
    let if_match = parts.headers.get(header::IF_MATCH).map(HeaderValue::as_bytes).unwrap_or_default();
    let parts = [parts.method.as_str().as_bytes(), parts.uri.path().as_bytes(), if_match, body.bytes()];
    idempotency::hashes(key, &parts)
}

fn hold<A: Aggregate>(service: &Service<A>, hash: [u8; 16]) -> Result<Held, Refusal> {
    service.in_flight.hold(hash).ok_or_else(|| {
        let detail = "a request with this Idempotency-Key is being worked on; repeat it when that is done";
        Problem::new(409, "request-in-flight", "Request in flight", detail).into()
    })
}

/// The id at the end of the path, which stands for `name` in the route.
pub(super) fn path_id(request: &Request, name: &str) -> Result<Uuid, Refusal> {
    let text = request.uri().path().rsplit('/').next().unwrap_or_default();
    // Only the usual form with hyphens: one resource has one path.
    let id = Some(text).filter(|text| text.len() == 36).and_then(|text| Uuid::try_parse(text).ok());
    id.ok_or_else(|| {
        let detail = format!("{name} is `{}`, expected a UUID", text.chars().take(60).collect::<String>());
        Problem::new(400, "malformed-id", "Malformed id", detail).with("field", name).into()
    })
}

/// An answer as HTTP.
pub(super) fn render<A: Aggregate>(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let token = answer.token(A::TOPIC, A::FOLLOWS).map(|token| token.to_string());
    let is_problem = status.is_client_error() || status.is_server_error();
    let content_type = if is_problem { MEDIA_TYPE } else { "application/json" };
    let content_type = (!answer.body.is_empty()).then(|| content_type.to_owned());
    let mut headers = HeaderMap::new();
    put(&mut headers, header::CONTENT_TYPE, content_type);
    put(&mut headers, header::ETAG, answer.version.map(etag));
    put(&mut headers, header::LOCATION, answer.location);
    put(&mut headers, HeaderName::from_static(schemas::headers::TOKEN), token);
    (status, headers, answer.body).into_response()
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: Option<String>) {
    // All values are made of ids, numbers and fixed text.
    let value = value.and_then(|value| HeaderValue::try_from(value).ok());
    if let Some(value) = value {
        headers.insert(name, value);
    }
}

/// A version as a strong entity tag.
fn etag(version: u64) -> String {
    format!("\"{version}\"")
}
