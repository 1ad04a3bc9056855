//! Ids as clients write them, in one form, so that one resource has one path.

use std::fmt;

use axum::extract::MatchedPath;
use axum::http::request::Parts;
use serde::Deserializer;
use serde::de::{Error, Visitor};
use uuid::Uuid;

use super::api_error::ApiError;

const FORM: &str = "a UUID of 36 characters in lower case";

pub fn parse_id(text: &str) -> Option<Uuid> {
    let is_plain = text.len() == 36 && !text.bytes().any(|byte| byte.is_ascii_uppercase());
    Some(text).filter(|_| is_plain).and_then(|text| Uuid::try_parse(text).ok())
}

/// The id in the path, which is what the route writes as `{…}`. Only for routes with one.
/// Errors: 400 that names it. An escaped character is another path, and so no id.
pub fn path_id(request: &Parts) -> Result<Uuid, ApiError> {
    let route = request.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let mut segments = route.split('/').zip(request.uri.path().split('/'));
    let found =
        segments.find_map(|(name, segment)| Some((name.strip_prefix('{')?.strip_suffix('}')?, segment)));
    // A mistake in the route table.
    let (name, segment) = found.ok_or_else(ApiError::fault)?;
    parse_id(segment).ok_or_else(|| ApiError::id(name, segment))
}

/// For the field of a body: `#[serde(deserialize_with = "id")]`.
/// Errors: If it is no text, or of another form.
pub fn id<'de, D: Deserializer<'de>>(from: D) -> Result<Uuid, D::Error> {
    struct Id;
    impl Visitor<'_> for Id {
        type Value = Uuid;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(FORM)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Uuid, E> {
            parse_id(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
        }
    }
    from.deserialize_str(Id)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::extract::Request;
    use axum::routing::get;
    use daybook_event::problem::Problem;
    use tower::ServiceExt as _;

    use super::*;

    #[test]
    fn one_id_has_one_spelling() {
        let plain = "0192f5c1-7a3b-7c11-8000-00000000000a";
        assert!(parse_id(plain).is_some());
        let others = [
            plain.to_uppercase(),
            plain.replace('-', ""),
            format!("{{{plain}}}"),
            format!("urn:uuid:{plain}"),
        ];
        for other in others.iter().map(String::as_str).chain(["", "7", " "]) {
            assert_eq!(parse_id(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn an_id_stands_in_the_path_as_it_is_written() {
        let shown =
            |request: Request| async move { path_id(&request.into_parts().0).map(|id| id.to_string()) };
        let router: Router = Router::new().route("/users/{user_id}/orders", get(shown));
        let plain = "0192f5c1-7a3b-7c11-8000-00000000000a";
        let asked = |id: String| {
            let request = Request::get(format!("/users/{id}/orders")).body(Body::empty()).unwrap();
            router.clone().oneshot(request)
        };
        assert_eq!(asked(plain.to_owned()).await.unwrap().status(), 200);
        for other in [plain.replacen('0', "%30", 1), plain.to_uppercase(), "7".to_owned()] {
            let refused = asked(other).await.unwrap();
            assert_eq!(refused.status(), 400);
            let body = to_bytes(refused.into_body(), usize::MAX).await.unwrap();
            let problem: Problem = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                (problem.slug(), &problem.extensions["parameter"]),
                ("malformed-id", &"user_id".into())
            );
        }
    }
}
