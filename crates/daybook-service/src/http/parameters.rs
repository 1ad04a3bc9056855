//! Query parameters: those that a path takes, each given once. Whatever else there is is refused by name.

use std::borrow::Cow;

use axum::http::Uri;

use super::api_error::ApiError;
use super::shortened;

/// The values of `names`, in that order.
///
/// # Errors
/// 400 that names the first parameter that is unknown or given twice.
pub fn parameters<'q, const N: usize>(
    uri: &'q Uri,
    names: [&str; N],
) -> Result<[Option<Cow<'q, str>>; N], ApiError> {
    let mut values = [const { None }; N];
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        let at = names.iter().position(|known| *known == name).ok_or_else(|| unknown(&name, &names))?;
        if values[at].replace(value).is_some() {
            return Err(ApiError::parameter(&name, format!("{name} is given twice; give it once")));
        }
    }
    Ok(values)
}

/// For paths that take no parameters.
///
/// # Errors
/// 400 that names the first one.
pub fn no_parameters(uri: &Uri) -> Result<(), ApiError> {
    parameters(uri, []).map(|[]| ())
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
        let uri = |query: &str| format!("/products?{query}").parse::<Uri>().unwrap();
        let both = uri("cursor=a%62&limit=5");
        let [limit, cursor] = parameters(&both, ["limit", "cursor"]).unwrap();
        assert_eq!((limit.as_deref(), cursor.as_deref()), (Some("5"), Some("ab")));
        for (query, name) in [("a=1&a=1", "a"), ("A=1", "A"), ("offset=3", "offset")] {
            let refused = parameters(&uri(query), ["a"]).unwrap_err();
            assert_eq!(refused.problem().extensions["parameter"], name, "{query}");
        }
        no_parameters(&uri("")).unwrap();
        assert_eq!(no_parameters(&uri("x=1")).unwrap_err().problem().status, 400);
    }
}
