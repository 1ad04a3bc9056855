//! Request bodies: bounded, JSON objects only, every error names the field.

use std::error::Error as _;
use std::time::Duration;

use axum::body::{Bytes, HttpBody as _, to_bytes};
use axum::http::{HeaderMap, StatusCode, header};
use daybook_event::problem::Problem;
use http_body_util::LengthLimitError;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::refusal::Refusal;

/// Largest body: far more than any command of these services has, and little enough to keep thousands of them.
pub(super) const BODY_BYTES_MAX: usize = 16 * 1024;

/// A body that has been read, and not yet been understood.
#[derive(Debug, Clone, Default)]
pub(crate) struct Body(Bytes);

impl Body {
    /// Reads the body of a request, which must be JSON by its content type and come in time.
    pub(crate) async fn read(
        headers: &HeaderMap,
        body: axum::body::Body,
        timeout: Duration,
    ) -> Result<Self, Refusal> {
        check_content_type(headers)?;
        // Known from its Content-Length: whoever says so much is told at once, not when it has come, or has not.
        if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
            return Err(too_large());
        }
        let reading = tokio::time::timeout(timeout, to_bytes(body, BODY_BYTES_MAX));
        let read = reading.await.map_err(|_| too_slow(timeout))?;
        read.map(Self).map_err(|error| unreadable(&error))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The body as `T`.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        // serde would also read a struct from a list of its fields' values.
        let is_object = self.0.trim_ascii_start().first() == Some(&b'{');
        match serde_json::from_slice(&self.0) {
            Ok(parsed) if is_object => Ok(parsed),
            _ => Err(self.explain::<T>(is_object)),
        }
    }

    /// Reads a refused body again, to say why; the usual case does not pay for that.
    fn explain<T: DeserializeOwned>(&self, is_object: bool) -> Refusal {
        if let Err(error) = serde_json::from_slice::<IgnoredAny>(&self.0) {
            return not_json(&error);
        }
        let mut json = serde_json::Deserializer::from_slice(&self.0);
        match serde_path_to_error::deserialize::<_, T>(&mut json) {
            Err(error) if is_object => invalid(&error),
            _ => Problem::new(422, "invalid-body", "Invalid body", "the body must be a JSON object").into(),
        }
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|value| value.split(';').next()).map(str::trim);
    if media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let found = content_type.map_or_else(|| "missing".to_owned(), |found| format!("`{found}`"));
    let detail = format!("the content type is {found}; send JSON with content-type: application/json");
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "Unsupported media type", detail))
}

fn too_slow(timeout: Duration) -> Refusal {
    let detail = format!("the body did not arrive within {} ms", timeout.as_millis());
    Refusal::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "Request too slow", detail)
}

fn too_large() -> Refusal {
    let detail = format!("the body is larger than {BODY_BYTES_MAX} bytes");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large", detail)
}

fn unreadable(error: &axum::Error) -> Refusal {
    if error.source().is_some_and(|source| source.is::<LengthLimitError>()) {
        return too_large();
    }
    Refusal::new(
        StatusCode::BAD_REQUEST,
        "body-unreadable",
        "Body unreadable",
        "the body ended early; send it again",
    )
}

fn not_json(error: &serde_json::Error) -> Refusal {
    let detail = format!("the body is not JSON: {error}");
    Refusal::new(StatusCode::BAD_REQUEST, "malformed-body", "Malformed body", detail)
}

fn invalid(error: &serde_path_to_error::Error<serde_json::Error>) -> Refusal {
    let detail = error.inner().to_string();
    let path = Some(error.path().to_string()).filter(|path| path != ".");
    let field = path.or_else(|| quoted(&detail)).unwrap_or_default();
    let problem = Problem::new(422, "invalid-body", "Invalid body", format!("field `{field}`: {detail}"));
    problem.with("field", field).into()
}

/// serde reports a missing field at the object that lacks it, and its name in backquotes.
fn quoted(detail: &str) -> Option<String> {
    detail.split('`').nth(1).map(str::to_owned)
}
