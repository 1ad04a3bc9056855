//! Request bodies: bounded, JSON objects only, every error names the field. And that there is none, where none is taken.

use std::error::Error as _;
use std::fmt::Display;
use std::time::Duration;

use axum::body::{Body as RawBody, Bytes, HttpBody as _, to_bytes};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use daybook_event::problem::Problem;
use http_body_util::LengthLimitError;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::answer::ApiError;
use super::problem_types::{
    BODY_TOO_LARGE, BODY_TOO_SLOW, INVALID_BODY, MALFORMED_BODY, UNEXPECTED_BODY, UNSUPPORTED_MEDIA_TYPE,
};
use super::request::one;

/// Largest body: far more than any command has, and little enough to keep thousands of them.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// A body that has been read, and not yet been understood.
#[derive(Debug, Clone, Default)]
pub struct Body(Bytes);

impl Body {
    /// Reads the body of a request, which must be JSON by its content type, not be encoded, and come in time.
    /// Errors: 400, 408, 413 or 415.
    pub async fn read(headers: &HeaderMap, body: RawBody, timeout: Duration) -> Result<Self, ApiError> {
        check_content(headers)?;
        // Known from its Content-Length: a client that says so much is answered at once, not when it has come, or has not.
        if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
            return Err(too_large());
        }
        read(body, BODY_BYTES_MAX, timeout, too_large).await.map(Self)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The body as `T`.
    /// Errors: 400 if it is not JSON; 422 that names the field.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        // serde would also read a struct from a list of its fields' values.
        let is_object = self.0.trim_ascii_start().first() == Some(&b'{');
        let parsed = serde_json::from_slice(&self.0);
        let with_integers = || with_integers(std::str::from_utf8(&self.0).ok().filter(|text| is_json(text))?);
        match parsed.or_else(|error| serde_json::from_str(&with_integers().ok_or(error)?)) {
            Ok(parsed) if is_object => Ok(parsed),
            _ => Err(self.explain::<T>(is_object)),
        }
    }

    /// Reads a refused body again, to say why; the usual case does not pay for that.
    fn explain<T: DeserializeOwned>(&self, is_object: bool) -> ApiError {
        let malformed =
            |error: &dyn Display| ApiError::new(&MALFORMED_BODY, format!("the body is not JSON: {error}"));
        match std::str::from_utf8(&self.0) {
            Err(error) => return malformed(&error),
            Ok(text) => {
                if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
                    return malformed(&error);
                }
            }
        }
        let mut json = serde_json::Deserializer::from_slice(&self.0);
        match serde_path_to_error::deserialize::<_, T>(&mut json) {
            Err(error) if is_object => invalid(&error),
            _ => ApiError::new(&INVALID_BODY, "the body must be a JSON object"),
        }
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// JSON with each whole number written as an integer, which it is by JSON Schema: `2.0` and `2e0` are `2`. Everything else is as
/// it was. None for what is no JSON.
fn with_integers(json: &str) -> Option<String> {
    let is_of_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    let (mut out, mut rest) = (String::with_capacity(json.len()), json);
    while let Some(first) = rest.as_bytes().first() {
        let end = match first {
            b'"' => string_end(rest.as_bytes()),
            b'-' | b'0'..=b'9' => rest.bytes().take_while(is_of_number).count(),
            _ => rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()).unwrap_or(rest.len()),
        };
        let (token, behind) = rest.split_at_checked(end)?;
        match integer(token).filter(|_| *first != b'"') {
            Some(integer) => out.push_str(&integer),
            None => out.push_str(token),
        }
        rest = behind;
    }
    Some(out)
}

/// A number of JSON without its point and exponent; none if it has a fraction, is longer than any integer here, or is none.
/// Digit by digit: a float would take `1.9999999999999999999` for 2.
fn integer(number: &str) -> Option<String> {
    const DIGITS_MAX: usize = 20;
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    let zeros = i64::from(exponent.parse::<i32>().ok()?) + (digits.len() - significant.len()) as i64
        - fraction.len() as i64;
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        return (!digits.is_empty()).then(|| "0".to_owned());
    }
    let zeros = usize::try_from(zeros).ok().filter(|zeros| zeros + significant.len() <= DIGITS_MAX)?;
    significant
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| format!("{sign}{significant}{}", "0".repeat(zeros)))
}

/// Where a string ends that begins at the first byte.
fn string_end(json: &[u8]) -> usize {
    let mut is_escaped = false;
    let is_end = |byte: &u8| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    };
    json[1..].iter().position(is_end).map_or(json.len(), |end| end + 2)
}

pub(super) fn takes_none(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::DELETE].contains(method)
}

/// Checks that there is no body, whatever way the head frames that.
/// Errors: 400 if a byte comes; 408 if it does not end in time.
pub(super) async fn no_body(method: &Method, body: RawBody, timeout: Duration) -> Result<(), ApiError> {
    if body.is_end_stream() {
        return Ok(());
    }
    let unexpected = || ApiError::new(&UNEXPECTED_BODY, format!("{method} takes no body here; send none"));
    if body.size_hint().lower() > 0 {
        return Err(unexpected());
    }
    read(body, 0, timeout, unexpected).await.map(drop)
}

async fn read(
    body: RawBody,
    bytes_max: usize,
    timeout: Duration,
    too_large: impl Fn() -> ApiError,
) -> Result<Bytes, ApiError> {
    let read = tokio::time::timeout(timeout, to_bytes(body, bytes_max)).await.map_err(|_| {
        ApiError::new(&BODY_TOO_SLOW, format!("the body did not arrive within {} ms", timeout.as_millis()))
    })?;
    read.map_err(|error| match error.source() {
        Some(source) if source.is::<LengthLimitError>() => too_large(),
        _ => ApiError::new(&MALFORMED_BODY, "the body ended early; send it again"),
    })
}

fn check_content(headers: &HeaderMap) -> Result<(), ApiError> {
    let is_plain = |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(header::CONTENT_ENCODING).iter().all(is_plain) {
        let refused =
            ApiError::new(&UNSUPPORTED_MEDIA_TYPE, "the body is encoded; send it without content-encoding");
        return Err(refused.with_headers([(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))]));
    }
    let content_type = one(headers, header::CONTENT_TYPE.as_str())?;
    let media_type = content_type.and_then(|value| value.split(';').next()).map(str::trim);
    if media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let found = content_type.map_or_else(|| "missing".to_owned(), |found| format!("`{found}`"));
    let detail = format!("the content type is {found}; send JSON with content-type: application/json");
    Err(ApiError::new(&UNSUPPORTED_MEDIA_TYPE, detail))
}

fn too_large() -> ApiError {
    ApiError::new(&BODY_TOO_LARGE, format!("the body is larger than {BODY_BYTES_MAX} bytes"))
}

fn invalid(error: &serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let detail = in_words_of_json(&error.inner().to_string());
    let path = Some(error.path().to_string()).filter(|path| path != ".");
    let field = path.or_else(|| quoted(&detail)).unwrap_or_default();
    let problem = Problem::of(&INVALID_BODY, format!("field `{field}`: {detail}"));
    problem.with("field", field).into()
}

/// serde reports a missing field at the object that lacks it, and its name in backquotes.
fn quoted(detail: &str) -> Option<String> {
    detail.split('`').nth(1).map(str::to_owned)
}

/// What serde says of Rust's types, as a client knows them.
fn in_words_of_json(detail: &str) -> String {
    let words = [
        ("i64", "an integer of 64 bits"),
        ("u64", "an integer from 0 of 64 bits"),
        ("i32", "an integer of 32 bits"),
        ("u32", "an integer from 0 of 32 bits"),
        ("f64", "a number"),
    ];
    words.iter().fold(detail.to_owned(), |text, (rust, json)| {
        text.replace(&format!("expected {rust}"), &format!("expected {json}"))
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Place {
        title: String,
        quantity: i64,
        left: u32,
    }

    fn refused(text: &str) -> Problem {
        Body(Bytes::copy_from_slice(text.as_bytes())).parse::<Place>().unwrap_err().problem().clone()
    }

    #[test]
    fn a_refused_body_is_said_in_words_of_json_with_its_field() {
        for (text, field, said) in [
            (r#"{"quantity":1,"left":1}"#, "title", "missing field `title`"),
            (r#"{"title":1}"#, "title", "expected a string"),
            (r#"{"title":"a","quantity":2.5}"#, "quantity", "expected an integer of 64 bits"),
            (r#"{"title":"a","left":-1}"#, "left", "expected an integer from 0 of 32 bits"),
            (r#"{"title":"a","more":1}"#, "more", "unknown field `more`"),
        ] {
            let problem = refused(text);
            assert_eq!((problem.status, &problem.extensions["field"]), (422, &field.into()), "{text}");
            let is_said = problem.detail.contains(said)
                && !problem.detail.contains("32,")
                && !problem.detail.contains(" u32");
            assert!(is_said, "{}", problem.detail);
        }
        assert_eq!((refused("[1]").status, refused("{").status), (422, 400));
    }

    #[test]
    fn an_integer_is_one_however_it_is_written() {
        #[derive(Deserialize)]
        struct Counted {
            count: i64,
        }
        let read = |text: &str| {
            let body = Body(Bytes::from(format!(r#"{{"note":"a\\\"2.0","count":{text}}}"#)));
            #[derive(Deserialize)]
            struct Noted {
                note: String,
                #[serde(flatten)]
                counted: Counted,
            }
            body.parse::<Noted>().map(|Noted { note, counted }| (note, counted.count))
        };
        let noted = |count| (r#"a\"2.0"#.to_owned(), count);
        for (text, number) in [
            ("2", 2),
            ("2.0", 2),
            ("2e0", 2),
            ("-0.0", 0),
            ("20.50e1", 205),
            ("0.2E+1", 2),
            ("200e-2", 2),
            ("-9.223372036854775808e18", i64::MIN),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(read(text).unwrap(), noted(number), "{text}");
        }
        for text in [
            "2.5",
            "1.9999999999999999999",
            "1e-400",
            "1e300",
            "10e9223372036854775807",
            "9223372036854775808",
            "\"2\"",
            "null",
            "true",
            "[2.0]",
        ] {
            assert_eq!(read(text).unwrap_err().problem().status, 422, "{text}");
        }
        for text in ["01", "007.0", "2.", "2.e1", ".5", "-", "+2", "2e", "\"\u{fffd}"] {
            assert_eq!(read(text).unwrap_err().problem().status, 400, "{text}");
        }
        let body = Body(Bytes::from_static(b"{\"count\":1,\"note\":\"\xff\"}"));
        assert_eq!(body.parse::<serde_json::Value>().unwrap_err().problem().status, 400);
    }

    #[tokio::test]
    async fn an_empty_body_is_none_however_it_is_framed_and_one_byte_is_one() {
        let chunks = |chunks: &[&'static str]| {
            let chunks: Vec<Result<_, std::io::Error>> =
                chunks.iter().map(|text| Ok(Bytes::from(*text))).collect();
            RawBody::from_stream(futures_util::stream::iter(chunks))
        };
        let asked = |body| no_body(&Method::GET, body, Duration::from_secs(5));
        for empty in [RawBody::empty(), chunks(&[]), chunks(&[""])] {
            asked(empty).await.unwrap();
        }
        for full in [RawBody::from("x"), chunks(&["", "x"])] {
            assert_eq!(asked(full).await.unwrap_err().problem().slug(), "unexpected-body");
        }
        let never = RawBody::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let late = no_body(&Method::GET, never, Duration::from_millis(1)).await.unwrap_err();
        assert_eq!(late.problem().slug(), "body-too-slow");
    }

    #[test]
    fn an_encoded_body_is_refused_with_what_is_taken() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("identity"));
        check_content(&headers).unwrap();
        headers.append(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert_eq!(check_content(&headers).unwrap_err().problem().status, 415);
    }

    #[test]
    fn a_content_type_is_given_once() {
        let headers = |lines: &[&'static str]| -> HeaderMap {
            lines.iter().map(|line| (header::CONTENT_TYPE, HeaderValue::from_static(line))).collect()
        };
        check_content(&headers(&["Application/JSON; charset=utf-8"])).unwrap();
        let refused = |lines| check_content(&headers(lines)).unwrap_err().problem().clone();
        assert_eq!((refused(&[]).status, refused(&["text/plain"]).status), (415, 415));
        for twice in [&["application/json", "text/plain"], &["application/json", "application/json"]] {
            let refused = refused(twice);
            assert_eq!(
                (refused.slug(), &refused.extensions["header"]),
                ("malformed-header", &"content-type".into())
            );
        }
    }
}
