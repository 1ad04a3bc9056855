//! What every request may carry, headers, parameters and ids: each is read whole, a wrong one is refused by name.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use axum::extract::MatchedPath;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use daybook_event::headers;
use daybook_event::token::Token;
use serde::Deserializer;
use serde::de::{Error, Visitor};
use uuid::Uuid;

use super::answer::ApiError;
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

/// The values that a query gives to `names`, in that order.
/// Errors: 400 that names the first parameter that is unknown or given twice.
pub fn parameters<'q, const N: usize>(
    query: Option<&'q str>,
    names: [&str; N],
) -> Result<[Option<Cow<'q, str>>; N], ApiError> {
    let mut values = [const { None }; N];
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let at = names.iter().position(|known| *known == name).ok_or_else(|| unknown(&name, &names))?;
        if values[at].replace(value).is_some() {
            return Err(ApiError::parameter(&name, format!("{name} is given twice; give it once")));
        }
    }
    Ok(values)
}

/// For paths that take no parameters.
/// Errors: 400 that names the first one.
pub fn no_parameters(uri: &Uri) -> Result<(), ApiError> {
    parameters(uri.query(), []).map(|[]| ())
}

fn unknown(name: &str, names: &[&str]) -> ApiError {
    let name = shortened(name);
    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    ApiError::parameter(&name, format!("`{name}` is not a parameter of this path; it takes: {known}"))
}

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

#[cfg(test)]
mod parameters_tests {
    use super::*;

    #[test]
    fn parameters_are_read_by_name_and_what_is_wrong_is_named() {
        let [limit, cursor] = parameters(Some("cursor=a%62&limit=5"), ["limit", "cursor"]).unwrap();
        assert_eq!((limit.as_deref(), cursor.as_deref()), (Some("5"), Some("ab")));
        for (query, name) in [("a=1&a=1", "a"), ("A=1", "A"), ("offset=3", "offset")] {
            let refused = parameters(Some(query), ["a"]).unwrap_err();
            assert_eq!(refused.problem().extensions["parameter"], name, "{query}");
        }
        let none = |uri: &str| no_parameters(&uri.parse().unwrap());
        none("/products?").unwrap();
        assert_eq!(none("/products?x=1").unwrap_err().problem().status, 400);
    }
}

#[cfg(test)]
mod ids_tests {
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
