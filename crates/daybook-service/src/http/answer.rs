//! Answers that tell a state: JSON, its tag, and how long a cache may trust it without asking: not at all.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use daybook_event::headers;

use super::api_error::ApiError;
use super::entity_tags::{Conditions, Judged};
use super::problem_types::PRECONDITION_FAILED;

pub fn json(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    uncached(&mut response);
    response
}

/// The answer to a read under these conditions of what has the strong tag `opaque`: the state, 304 without it, or 412.
pub fn state(conditions: &Conditions, opaque: &str, headers: HeaderMap, body: Vec<u8>) -> Response {
    let mut response = match conditions.judge_read(opaque) {
        Judged::Holds => json(StatusCode::OK, body),
        Judged::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Judged::Fails => {
            let detail = format!("the resource has the tag \"{opaque}\", which If-Match does not name");
            ApiError::new(&PRECONDITION_FAILED, detail).into_response()
        }
    };
    uncached(&mut response);
    tag(&mut response, opaque);
    response.headers_mut().extend(headers);
    response
}

/// Gives a response the strong tag `opaque`: a version, or hexadecimal digits.
pub fn tag(response: &mut Response, opaque: &str) {
    if let Ok(tag) = HeaderValue::try_from(format!("\"{opaque}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
}

/// A cache asks each time, and takes the answer to one token for none to another: "you read what you wrote" also holds
/// behind one.
fn uncached(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static(headers::AFTER));
}

#[cfg(test)]
mod tests {
    use super::super::entity_tags::{EntityTag, EntityTags};
    use super::*;

    #[test]
    fn the_same_content_is_sent_once_and_no_cache_answers_unasked() {
        let given = |if_none_match| {
            let conditions = Conditions { if_match: None, if_none_match };
            state(&conditions, "a1", HeaderMap::new(), b"{}".to_vec())
        };
        let tags =
            |opaque: &str| EntityTags::Of(vec![EntityTag { is_weak: true, opaque: opaque.to_owned() }]);
        for known in [None, Some(tags("b2"))] {
            let answer = given(known);
            assert_eq!(
                (answer.status(), &answer.headers()[header::ETAG]),
                (StatusCode::OK, &HeaderValue::from_static("\"a1\""))
            );
            assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-cache");
            assert_eq!(answer.headers()[header::VARY], headers::AFTER);
        }
        for known in [tags("a1"), EntityTags::Any] {
            let answer = given(Some(known));
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()[header::ETAG]),
                (304, &HeaderValue::from_static("\"a1\""))
            );
            assert!(!answer.headers().contains_key(header::CONTENT_TYPE));
            assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-cache");
        }
    }
}
