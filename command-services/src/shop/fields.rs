//! Rules for single fields, the same in every service.

use schemas::problem::Problem;
use serde::{Deserialize, Deserializer};

/// A field whose value breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidField {
    /// Name of the field, as in the request.
    pub field: &'static str,
    /// What it must be, finishing the sentence "`field` must …".
    pub rule: String,
}

impl From<InvalidField> for Problem {
    fn from(invalid: InvalidField) -> Self {
        let InvalidField { field, rule } = invalid;
        let problem = Self::new(422, "invalid-field", "Invalid field", format!("`{field}` must {rule}"));
        problem.with("field", field)
    }
}

/// A text without what stands around it: 1 to `chars_max` characters, none of them a control character.
pub(super) fn text(field: &'static str, raw: &str, chars_max: usize) -> Result<String, InvalidField> {
    let text = raw.trim();
    let length = text.chars().count();
    if length == 0 || length > chars_max {
        return Err(InvalidField {
            field,
            rule: format!("have 1 to {chars_max} characters, it has {length}"),
        });
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidField { field, rule: "have no control characters".to_owned() });
    }
    Ok(text.to_owned())
}

/// Longest e-mail address that can be delivered to.
const EMAIL_CHARS_MAX: usize = 254;

/// An e-mail address: something, one `@`, something.
pub(super) fn email(field: &'static str, raw: &str) -> Result<String, InvalidField> {
    let email = text(field, raw, EMAIL_CHARS_MAX)?;
    let parts: Vec<&str> = email.split('@').collect();
    let [local, domain] = parts[..] else {
        return Err(InvalidField { field, rule: "have exactly one @".to_owned() });
    };
    if local.is_empty() || domain.is_empty() || email.contains(char::is_whitespace) {
        let rule = "have something on both sides of its @, and no spaces".to_owned();
        return Err(InvalidField { field, rule });
    }
    Ok(email)
}

/// For a field that may be left out, but not be null.
pub(super) fn present<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(from).map(Some)
}
