//! Query parameters: those that a path takes, each given once. Whatever else there is is refused by name.

use std::borrow::Cow;

use axum::http::Uri;

use super::api_error::ApiError;
use super::shortened;

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

#[cfg(test)]
mod tests {
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
