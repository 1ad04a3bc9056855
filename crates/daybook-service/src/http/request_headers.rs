//! Request headers that mean the same to every service. Each is read whole; a wrong one is refused by name.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::HeaderMap;
use daybook_event::headers;
use daybook_event::token::Token;

use super::api_error::ApiError;
use super::shortened;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct After {
    /// Positions that the answer must hold.
    pub token: Option<Token>,
    /// How long the client would wait for them, before the service's own bound.
    pub wait: Option<Duration>,
}

impl After {
    /// Reads both headers.
    /// Errors: 400 that names the header.
    pub fn read(from: &HeaderMap) -> Result<Self, ApiError> {
        let token = joined(from, headers::AFTER)?.map(|text| parse_token(&text)).transpose()?;
        let wait = one(from, headers::WAIT_MS)?.map(parse_wait).transpose()?;
        Ok(Self { token, wait })
    }
}

/// A header that may be given once.
/// Errors: 400 if it is given more often, or is not visible ASCII.
pub fn one<'h>(from: &'h HeaderMap, name: &'h str) -> Result<Option<&'h str>, ApiError> {
    let mut lines = lines(from, name);
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(ApiError::header(name, format!("{name} is given more than once; give it once")));
    }
    line.map(Some)
}

/// A header whose value is a list: several lines are one list (RFC 9110, 5.3).
/// Errors: 400 if it is not visible ASCII.
pub fn joined<'h>(from: &'h HeaderMap, name: &'h str) -> Result<Option<Cow<'h, str>>, ApiError> {
    let mut lines = lines(from, name);
    let Some(first) = lines.next().transpose()? else { return Ok(None) };
    lines.try_fold(Cow::Borrowed(first), |list, line| Ok(format!("{list},{}", line?).into())).map(Some)
}

fn lines<'h>(from: &'h HeaderMap, name: &'h str) -> impl Iterator<Item = Result<&'h str, ApiError>> {
    let refused = move |_| ApiError::header(name, format!("{name} is not visible ASCII"));
    from.get_all(name).iter().map(move |line| line.to_str().map(str::trim).map_err(refused))
}

fn parse_token(text: &str) -> Result<Token, ApiError> {
    // A list may have empty elements; a token that names nothing would wait for nothing.
    let named: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    let token = if named.is_empty() { text.parse() } else { named.join(",").parse() };
    token.map_err(|error| ApiError::header(headers::AFTER, format!("{}: {error}", headers::AFTER)))
}

fn parse_wait(text: &str) -> Result<Duration, ApiError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let wait_ms = text.parse().ok().filter(|_| digits);
    wait_ms.map(Duration::from_millis).ok_or_else(|| {
        let detail =
            format!("{} is `{}`, expected a number of milliseconds", headers::WAIT_MS, shortened(text));
        ApiError::header(headers::WAIT_MS, detail)
    })
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn read(pairs: &[(&'static str, &str)]) -> Result<After, ApiError> {
        let mut found = HeaderMap::new();
        for (name, value) in pairs {
            found.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        After::read(&found)
    }

    #[test]
    fn a_token_may_stand_on_several_lines_and_a_wait_on_one() {
        assert_eq!(read(&[]).unwrap(), After::default());
        let given = read(&[
            ("daybook-after", "a/0@1,, b/2@3"),
            ("daybook-wait-ms", "70"),
            ("daybook-after", "c/0@4,"),
        ]);
        let token = Some("a/0@1,b/2@3,c/0@4".parse().unwrap());
        assert_eq!(given.unwrap(), After { token, wait: Some(Duration::from_millis(70)) });
        let twice = read(&[("daybook-wait-ms", "70"), ("daybook-wait-ms", "70")]).unwrap_err();
        assert_eq!(twice.problem().extensions["header"], "daybook-wait-ms");
    }

    #[test]
    fn a_wrong_header_is_named() {
        for (name, value) in [
            ("daybook-after", ""),
            ("daybook-after", ","),
            ("daybook-after", "a/0"),
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
    }
}
