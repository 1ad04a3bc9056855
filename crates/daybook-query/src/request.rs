//! What every query may carry, read once: an id in the path, a page, a token to wait for, conditions on the answer.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use daybook_service::http::{After, ApiError, Conditions, no_parameters, parameters, path_id, shortened};
use uuid::Uuid;

use super::cursor;
use super::limits::{PAGE_DEFAULT, PAGE_MAX};

#[derive(Debug)]
pub struct QueryRequest {
    parts: Parts,
    pub(super) after: After,
    pub(super) conditions: Conditions,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Most items, 1 to [`PAGE_MAX`].
    pub limit: usize,
    /// As the client sent it; what it means is the endpoint's matter.
    pub cursor: Option<String>,
}

impl QueryRequest {
    /// The id in the path. Only for routes with one `{…_id}`.
    /// Errors: 400 that names it.
    pub fn id(&self) -> Result<Uuid, ApiError> {
        path_id(&self.parts)
    }

    /// `limit` and `cursor`, for paths that have pages.
    /// Errors: 400 that names the parameter that is wrong, unknown or given twice.
    pub fn page(&self) -> Result<Page, ApiError> {
        page(self.parts.uri.query())
    }

    /// For paths that take no parameters.
    /// Errors: 400 that names the first one.
    pub fn no_parameters(&self) -> Result<(), ApiError> {
        no_parameters(&self.parts.uri)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for QueryRequest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let (after, conditions) = (After::read(&parts.headers)?, Conditions::read(&parts.headers)?);
        Ok(Self { parts: parts.clone(), after, conditions })
    }
}

pub fn page(query: Option<&str>) -> Result<Page, ApiError> {
    let [limit, cursor] = parameters(query, ["limit", cursor::PARAMETER])?;
    let limit = limit.as_deref().map_or(Ok(PAGE_DEFAULT), parse_limit)?;
    Ok(Page { limit, cursor: cursor.map(Into::into) })
}

fn parse_limit(text: &str) -> Result<usize, ApiError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = text.parse().ok().filter(|limit| digits && (1..=PAGE_MAX).contains(limit));
    limit.ok_or_else(|| {
        let text = shortened(text);
        ApiError::parameter("limit", format!("limit `{text}` is not a whole number from 1 to {PAGE_MAX}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read() {
        assert_eq!(page(None).unwrap(), Page { limit: 50, cursor: None });
        assert_eq!(page(Some("")).unwrap(), Page { limit: 50, cursor: None });
        let both = page(Some("cursor=a%62&limit=500")).unwrap();
        assert_eq!(both, Page { limit: 500, cursor: Some("ab".to_owned()) });
        assert_eq!(page(Some("limit=1")).unwrap().limit, 1);
    }

    #[test]
    fn a_wrong_limit_is_named() {
        for limit in ["0", "501", "+5", "", "5.0", "99999999999999999999999"] {
            let refused = page(Some(&format!("limit={limit}"))).unwrap_err();
            assert_eq!(refused.problem().extensions["parameter"], "limit", "{limit}");
        }
    }
}
