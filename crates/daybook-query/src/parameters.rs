//! What stands in the request line: ids, `limit`, `cursor`. Whatever is wrong is refused by name.

use std::borrow::Cow;

use uuid::Uuid;

use super::cursor;
use super::limits::{PAGE_DEFAULT, PAGE_MAX};
use super::refusal::{Refusal, shortened};

/// Which page a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Most items, 1 to [`PAGE_MAX`].
    pub limit: usize,
    /// As the client sent it; what it means is the endpoint's matter.
    pub cursor: Option<String>,
}

/// Reads `limit` and `cursor`.
///
/// # Errors
/// 400 that names the parameter that is wrong, unknown or given twice.
pub fn page(query: Option<&str>) -> Result<Page, Refusal> {
    let [limit, cursor] = named(query, ["limit", cursor::PARAMETER])?;
    let limit = limit.as_deref().map_or(Ok(PAGE_DEFAULT), parse_limit)?;
    Ok(Page { limit, cursor: cursor.map(Cow::into_owned) })
}

/// Insists that there are no parameters.
///
/// # Errors
/// 400 that names the first one.
pub fn none(query: Option<&str>) -> Result<(), Refusal> {
    named(query, []).map(|[]| ())
}

/// Reads an id in the path.
///
/// # Errors
/// 400 that names `segment` if it is no UUID.
pub fn id(segment: &str, text: &str) -> Result<Uuid, Refusal> {
    Uuid::try_parse(text)
        .map_err(|_| Refusal::parameter(segment, format!("{segment} `{}` is not a UUID", shortened(text))))
}

fn named<'q, const N: usize>(
    query: Option<&'q str>,
    names: [&str; N],
) -> Result<[Option<Cow<'q, str>>; N], Refusal> {
    let mut values = [const { None }; N];
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let at = names.iter().position(|known| *known == name).ok_or_else(|| unknown(&name, &names))?;
        if values[at].replace(value).is_some() {
            return Err(Refusal::parameter(&name, format!("{name} is given twice; give it once")));
        }
    }
    Ok(values)
}

fn unknown(name: &str, names: &[&str]) -> Refusal {
    let name = shortened(name);
    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Refusal::parameter(&name, format!("`{name}` is not a parameter of this path; it takes: {known}"))
}

fn parse_limit(text: &str) -> Result<usize, Refusal> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = text.parse().ok().filter(|limit| digits && (1..=PAGE_MAX).contains(limit));
    limit.ok_or_else(|| {
        let text = shortened(text);
        Refusal::parameter("limit", format!("limit `{text}` is not a whole number from 1 to {PAGE_MAX}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(refusal: &Refusal) -> &str {
        refusal.problem().extensions["parameter"].as_str().unwrap()
    }

    #[test]
    fn a_page_is_read() {
        assert_eq!(page(None).unwrap(), Page { limit: 50, cursor: None });
        assert_eq!(page(Some("")).unwrap(), Page { limit: 50, cursor: None });
        let both = page(Some("cursor=a%62&limit=500")).unwrap();
        assert_eq!(both, Page { limit: 500, cursor: Some("ab".to_owned()) });
        assert_eq!(page(Some("limit=1")).unwrap().limit, 1);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, name) in [
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("limit=+5", "limit"),
            ("limit=", "limit"),
            ("limit=5.0", "limit"),
            ("limit=99999999999999999999999", "limit"),
            ("limit=5&limit=5", "limit"),
            ("cursor=a&cursor=b", "cursor"),
            ("Limit=5", "Limit"),
            ("offset=3", "offset"),
        ] {
            assert_eq!(parameter(&page(Some(query)).unwrap_err()), name, "{query}");
        }
        assert_eq!(parameter(&none(Some("limit=5")).unwrap_err()), "limit");
        none(None).unwrap();
        assert_eq!(parameter(&id("user_id", "7").unwrap_err()), "user_id");
    }
}
