//! The request headers that mean something to a command. Each is checked whole; a wrong one is refused by name.

use std::str::FromStr as _;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use daybook_event::headers;
use daybook_event::token::Token;
use uuid::Uuid;

use super::idempotency_key::SentKey;
use super::refusal::Refusal;
use crate::command::IfMatch;

/// Most versions that one `If-Match` may name.
const VERSIONS_MAX: usize = 16;

/// What the headers of a command say.
#[derive(Debug)]
pub(super) struct RequestHeaders<'r> {
    pub(super) idempotency_key: Option<SentKey<'r>>,
    pub(super) if_match: Option<IfMatch>,
    pub(super) after: Option<Token>,
    pub(super) wait: Option<Duration>,
    pub(super) correlation_id: Option<Uuid>,
    pub(super) traceparent: Option<String>,
}

impl<'r> RequestHeaders<'r> {
    pub(super) fn parse(from: &'r HeaderMap) -> Result<Self, Refusal> {
        Ok(Self {
            idempotency_key: text(from, headers::IDEMPOTENCY_KEY)?.map(SentKey::parse).transpose()?,
            if_match: text(from, header::IF_MATCH.as_str())?.map(if_match).transpose()?,
            after: text(from, headers::AFTER)?.map(after).transpose()?,
            wait: text(from, headers::WAIT_MS)?.map(wait).transpose()?,
            correlation_id: text(from, headers::CORRELATION_ID)?.map(correlation_id).transpose()?,
            traceparent: traceparent(from),
        })
    }
}

fn text<'r>(from: &'r HeaderMap, name: &str) -> Result<Option<&'r str>, Refusal> {
    let mut values = from.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::header(name, format!("{name} is given more than once")));
    }
    let text = value.to_str().map_err(|_| Refusal::header(name, format!("{name} is not visible ASCII")))?;
    Ok(Some(text.trim()))
}

fn if_match(text: &str) -> Result<IfMatch, Refusal> {
    if text == "*" {
        return Ok(IfMatch::Any);
    }
    let versions: Option<Vec<u64>> =
        text.split(',').take(VERSIONS_MAX + 1).map(|tag| version(tag.trim())).collect();
    let versions = versions.filter(|versions| versions.len() <= VERSIONS_MAX).ok_or_else(|| {
        let detail =
            format!("If-Match is `{text}`, expected an ETag as this service gives it, such as \"3\", or *");
        Refusal::header("if-match", detail)
    })?;
    Ok(IfMatch::Versions(versions))
}

/// A strong entity tag that is a version; a weak one compares unequal to everything, so it can only be a mistake.
fn version(tag: &str) -> Option<u64> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    let canonical = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    canonical.then(|| digits.parse().ok()).flatten()
}

fn after(text: &str) -> Result<Token, Refusal> {
    Token::from_str(text).map_err(|error| Refusal::header(headers::AFTER, format!("Daybook-After: {error}")))
}

fn wait(text: &str) -> Result<Duration, Refusal> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let wait_ms = if digits { text.parse().ok() } else { None };
    wait_ms.map(Duration::from_millis).ok_or_else(|| {
        let detail = format!("Daybook-Wait-Ms is `{text}`, expected a number of milliseconds");
        Refusal::header(headers::WAIT_MS, detail)
    })
}

fn correlation_id(text: &str) -> Result<Uuid, Refusal> {
    Uuid::try_parse(text).map_err(|_| {
        let detail = format!("Daybook-Correlation-Id is `{text}`, expected a UUID");
        Refusal::header(headers::CORRELATION_ID, detail)
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
