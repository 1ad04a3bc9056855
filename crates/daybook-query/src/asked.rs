//! What every query may carry, read once: an id in the path, a page, a token to wait for, the tag of an older answer.

use std::time::Duration;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use daybook_event::headers;
use daybook_event::token::Token;
use uuid::Uuid;

use super::limits::WAIT_MS_DEFAULT;
use super::parameters::{self, Page};
use super::refusal::{Refusal, shortened};

/// A query, as far as its form can be judged.
#[derive(Debug)]
pub struct Asked {
    id: Option<Uuid>,
    query: Option<String>,
    /// Positions to wait for.
    pub after: After,
    /// `If-None-Match`.
    pub if_none_match: Option<HeaderValue>,
}

/// `Daybook-After` and `Daybook-Wait-Ms`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct After {
    /// Positions that the answer must hold.
    pub token: Option<Token>,
    /// How long the client would wait for them, before the service's own bound.
    pub wait: Duration,
}

impl Asked {
    /// The id in the path. Only for routes with one `{…_id}`.
    ///
    /// # Errors
    /// 400 if there is none, which is a mistake in the route table.
    pub fn id(&self) -> Result<Uuid, Refusal> {
        self.id.ok_or_else(|| Refusal::parameter("id", "the path has no id"))
    }

    /// `limit` and `cursor`, for paths that have pages.
    ///
    /// # Errors
    /// 400 that names the parameter.
    pub fn page(&self) -> Result<Page, Refusal> {
        parameters::page(self.query.as_deref())
    }

    /// For paths that take no parameters.
    ///
    /// # Errors
    /// 400 that names the first one.
    pub fn no_parameters(&self) -> Result<(), Refusal> {
        parameters::none(self.query.as_deref())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let segments = RawPathParams::from_request_parts(parts, state).await;
        let segments = segments.map_err(|error| Refusal::parameter("path", error.to_string()))?;
        let id = segments.iter().next().map(|(name, text)| parameters::id(name, text)).transpose()?;
        Ok(Self {
            id,
            query: parts.uri.query().map(str::to_owned),
            after: after(&parts.headers)?,
            if_none_match: parts.headers.get(header::IF_NONE_MATCH).cloned(),
        })
    }
}

fn after(found: &HeaderMap) -> Result<After, Refusal> {
    let token = one(found, headers::AFTER)?.map(parse_token).transpose()?;
    let wait = one(found, headers::WAIT_MS)?.map(parse_wait).transpose()?;
    Ok(After { token, wait: wait.unwrap_or(Duration::from_millis(WAIT_MS_DEFAULT)) })
}

fn one<'h>(found: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Refusal> {
    let mut values = found.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::header(name, format!("{name} is given twice; join positions by commas")));
    }
    let text =
        value.to_str().map_err(|_| Refusal::header(name, format!("{name} is not plain ASCII text")))?;
    Ok(Some(text))
}

fn parse_token(text: &str) -> Result<Token, Refusal> {
    text.parse().map_err(|error| Refusal::header(headers::AFTER, format!("{}: {error}", headers::AFTER)))
}

fn parse_wait(text: &str) -> Result<Duration, Refusal> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let wait_ms = text.parse().ok().filter(|_| digits);
    wait_ms.map(Duration::from_millis).ok_or_else(|| {
        let detail = format!("{} `{}` is not a number of milliseconds", headers::WAIT_MS, shortened(text));
        Refusal::header(headers::WAIT_MS, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &str)]) -> Result<After, Refusal> {
        let pairs = pairs.iter().map(|(name, value)| {
            (axum::http::HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        });
        let mut found = HeaderMap::new();
        pairs.for_each(|(name, value)| {
            found.append(name, value);
        });
        after(&found)
    }

    #[test]
    fn a_wait_is_read() {
        let wait = Duration::from_millis(WAIT_MS_DEFAULT);
        assert_eq!(read(&[]).unwrap(), After { token: None, wait });
        let given = read(&[("daybook-after", "a/0@1, b/2@3"), ("daybook-wait-ms", "70")]).unwrap();
        let token = Some("a/0@1,b/2@3".parse().unwrap());
        assert_eq!(given, After { token, wait: Duration::from_millis(70) });
    }

    #[test]
    fn a_wrong_header_is_named() {
        for (name, value) in [
            ("daybook-after", ""),
            ("daybook-after", "a/0"),
            ("daybook-after", "a/0@1,,"),
            ("daybook-after", "a/0@-1"),
            ("daybook-after", "ä/0@1"),
            ("daybook-wait-ms", ""),
            ("daybook-wait-ms", "+5"),
            ("daybook-wait-ms", "1s"),
            ("daybook-wait-ms", "99999999999999999999999"),
        ] {
            let refused = read(&[(name, value)]).unwrap_err();
            assert_eq!(refused.problem().status, 400);
            assert_eq!(refused.problem().extensions["header"], name, "{value}");
        }
        assert!(read(&[("daybook-after", "a/0@1"), ("daybook-after", "a/0@2")]).is_err());
    }
}
