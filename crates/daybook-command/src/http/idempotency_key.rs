//! The header `Idempotency-Key`: a string in quotes, as the draft has it, or the same characters without them.

use std::borrow::Cow;

use daybook_event::headers;

use axum::http::HeaderMap;
use daybook_service::http::{ApiError, one};

/// Longest key, without quotes.
const KEY_CHARS_MAX: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SentKey<'r> {
    /// The characters that it consists of; `abc` and `"abc"` are one key.
    pub(super) key: Cow<'r, str>,
    pub(super) header: &'r str,
}

impl<'r> SentKey<'r> {
    pub(super) fn read(from: &'r HeaderMap) -> Result<Option<Self>, ApiError> {
        one(from, headers::IDEMPOTENCY_KEY)?.map(Self::parse).transpose()
    }

    /// Only a key in quotes may have spaces.
    fn parse(header: &'r str) -> Result<Self, ApiError> {
        let key = match header.strip_prefix('"') {
            Some(quoted) => unquoted(quoted).map(Cow::Owned),
            None => Some(Cow::Borrowed(header)).filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic())),
        };
        let key = key.filter(|key| (1..=KEY_CHARS_MAX).contains(&key.len())).ok_or_else(malformed)?;
        Ok(Self { key, header })
    }
}

/// What stands behind the first quote, up to the last one, with `\"` for a quote and `\\` for a backslash in it.
fn unquoted(text: &str) -> Option<String> {
    let mut key = String::with_capacity(text.len());
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(key),
            '\\' => key.push(characters.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            character @ ' '..='~' => key.push(character),
            _ => return None,
        }
    }
}

fn malformed() -> ApiError {
    let detail = format!(
        "Idempotency-Key must have 1 to {KEY_CHARS_MAX} visible ASCII characters without spaces, or be a string in quotes of as \
         many characters, in which spaces may be, with \\\" for a quote and \\\\ for a backslash"
    );
    ApiError::header(headers::IDEMPOTENCY_KEY, detail)
}
