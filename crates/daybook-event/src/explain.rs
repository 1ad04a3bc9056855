//! What errors say about input that did not fit: which field, and a bounded, printable account of what was found.
//!
//! Only failures pay for this: the value is read a second time, with the path tracked.

use serde::Deserialize;

/// Longest part of foreign input that an error repeats, in characters.
const SHOWN_CHARS_MAX: usize = 100;

pub(crate) struct Fault {
    /// Path of the field; empty where the text as a whole is wrong.
    pub(crate) field: String,
    pub(crate) detail: String,
}

/// Foreign text as an error may repeat it: shortened, and without characters that would break a line of log.
pub(crate) fn shown(text: &str) -> String {
    let mut chars = text.chars();
    let mut shown = String::new();
    for c in chars.by_ref().take(SHOWN_CHARS_MAX) {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

/// Whether a JSON text is an object. serde's structs would read an array as well, field by field.
pub(crate) fn is_object(json: &str) -> bool {
    json.trim_start().starts_with('{')
}

/// Why `json` cannot be read as a `T`; `None` if it can.
pub(crate) fn fault<'a, T: Deserialize<'a>>(json: &'a str) -> Option<Fault> {
    let mut from = serde_json::Deserializer::from_str(json);
    let located = serde_path_to_error::deserialize::<_, T>(&mut from).err()?;
    let message = located.inner().to_string();
    let detail = message.rsplit_once(" at line ").map_or(message.as_str(), |(detail, _)| detail);
    let path = located.path().to_string();
    let field = match (path.as_str(), named_field(detail)) {
        (".", name) => name.unwrap_or_default().to_owned(),
        (path, Some(name)) => format!("{path}.{name}"),
        (path, None) => path.to_owned(),
    };
    Some(Fault { field, detail: detail.to_owned() })
}

/// serde reports a missing or repeated field at the object that has it wrong, and its name in backquotes.
fn named_field(detail: &str) -> Option<&str> {
    let rest =
        ["missing field `", "duplicate field `"].iter().find_map(|start| detail.strip_prefix(start))?;
    rest.split('`').next()
}
