//! Answers: JSON written once, with a tag made from its bytes.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use daybook_event::headers;
use serde::Serialize;

use super::marks::Marks;
use super::refusal::Refusal;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// 64 bits tell the answers of one address apart.
const TAG_BYTES: usize = 8;

/// About the size of one item of a list, so that its bytes need not be moved while they grow.
const ITEM_BYTES: usize = 384;

/// The bytes of an answer, and its marks.
#[derive(Debug, Default)]
pub struct Rendered {
    /// The bytes that go out.
    pub body: Vec<u8>,
    /// What of it waits.
    pub marks: Marks,
}

/// Renders `content`, a list of about `items` items, to the bytes that go out.
///
/// # Errors
/// 500; content of strings, numbers and lists cannot fail.
pub fn render(content: &impl Serialize, items: usize) -> Result<Vec<u8>, Refusal> {
    let mut body = Vec::with_capacity((items + 1) * ITEM_BYTES);
    match serde_json::to_writer(&mut body, content) {
        Ok(()) => Ok(body),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            Err(Refusal::fault())
        }
    }
}

/// 200 with a body, or 304 if the client has the same already.
#[must_use]
pub fn tagged(
    rendered: Rendered,
    as_of: Option<HeaderValue>,
    if_none_match: Option<&HeaderValue>,
) -> Response {
    let Rendered { body, marks } = rendered;
    let tag = tag(&body);
    let same = if_none_match.is_some_and(|known| holds(known, &tag));
    let mut response = Response::new(if same { Body::empty() } else { Body::from(body) });
    if same {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    }
    response.headers_mut().insert(header::ETAG, tag);
    if let Some(positions) = as_of {
        response.headers_mut().insert(headers::AS_OF, positions);
    }
    if let Some(keys) = marks.header() {
        response.headers_mut().insert(headers::QUARANTINED, keys);
    }
    response
}

/// 200 with a body that changes all the time.
#[must_use]
pub fn untagged(body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

fn tag(body: &[u8]) -> HeaderValue {
    let hash = blake3::hash(body);
    let digits = hash.to_hex();
    let mut text = [b'"'; 2 + 2 * TAG_BYTES];
    text[1..=2 * TAG_BYTES].copy_from_slice(&digits.as_bytes()[..2 * TAG_BYTES]);
    // Hexadecimal digits between quotes are always a legal header value.
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Whether `If-None-Match` names this tag. Weak tags count: the comparison is the weak one (RFC 9110, 13.1.2).
fn holds(known: &HeaderValue, tag: &HeaderValue) -> bool {
    let Ok(known) = known.to_str() else { return false };
    let mut tags = known.split(',').map(|one| one.trim().trim_start_matches("W/"));
    tags.any(|one| one == "*" || one.as_bytes() == tag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_is_sent_once() {
        let rendered = |body: &[u8]| Rendered { body: body.to_vec(), marks: Marks::default() };
        let first = tagged(rendered(b"{}"), None, None);
        let tag = first.headers()[header::ETAG].clone();
        assert_eq!(first.status(), 200);
        let given = |text: String| tagged(rendered(b"{}"), None, Some(&HeaderValue::try_from(text).unwrap()));
        let text = tag.to_str().unwrap();
        for known in [text.to_owned(), format!("W/{text}"), format!("\"other\", {text}"), "*".to_owned()] {
            let again = given(known);
            assert_eq!((again.status().as_u16(), &again.headers()[header::ETAG]), (304, &tag));
            assert!(!again.headers().contains_key(header::CONTENT_TYPE));
        }
        assert_eq!(given("\"other\"".to_owned()).status(), 200);
        assert_eq!(tagged(rendered(b"[]"), None, Some(&tag)).status(), 200);
    }
}
