//! Versions in the names of types, for a type that is not known.

use super::DataError;
use crate::explain;

/// The error for a type that is not known, given `newest`, the newest known name of each type.
pub fn unknown_type(event_type: &str, newest: &[&'static str]) -> DataError {
    match newest.iter().find(|known| is_newer(event_type, known)) {
        Some(newest) => {
            DataError::FutureVersion { event_type: explain::shown(event_type), newest: (*newest).to_owned() }
        }
        None => DataError::UnknownType { event_type: explain::shown(event_type) },
    }
}

/// Whether both are versions of one type, and `event_type` the later one.
fn is_newer(event_type: &str, known: &str) -> bool {
    match (split_version(event_type), split_version(known)) {
        (Some((stem, version)), Some((known_stem, known_version))) => {
            stem == known_stem && version > known_version
        }
        _ => false,
    }
}

/// `shop.order.placed.v2` is `shop.order.placed`, 2.
fn split_version(event_type: &str) -> Option<(&str, u64)> {
    let (stem, digits) = event_type.rsplit_once(".v")?;
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    // More digits than a u64 holds are a later version than any.
    is_number.then(|| (stem, digits.parse().unwrap_or(u64::MAX)))
}
