//! Attributes as text: one place for the rules that both content modes share.

use std::borrow::Cow;
use std::str::FromStr;

use jiff::Timestamp;
use uuid::Uuid;

use super::{OpenError, Source};

/// Digits of a position on the wire; with leading zeros, so that text order is number order.
pub(super) const SEQUENCE_DIGITS: usize = 20;
/// Longest part of a wrong value that an error repeats.
const FOUND_CHARS_MAX: usize = 60;

pub(super) fn malformed(attribute: &str, found: &str, expected: &str) -> OpenError {
    OpenError::Malformed {
        attribute: attribute.to_owned(),
        found: format!("`{}`", found.chars().take(FOUND_CHARS_MAX).collect::<String>()),
        expected: expected.to_owned(),
    }
}

pub(super) fn uuid(attribute: &'static str, text: &str) -> Result<Uuid, OpenError> {
    Uuid::from_str(text).map_err(|_| malformed(attribute, text, "a UUID"))
}

pub(super) fn specversion(text: &str) -> Result<(), OpenError> {
    if text == "1.0" { Ok(()) } else { Err(malformed("specversion", text, "1.0")) }
}

pub(super) fn time(text: &str) -> Result<Timestamp, OpenError> {
    Timestamp::from_str(text).map_err(|_| malformed("time", text, "a time as of RFC 3339"))
}

pub(super) fn sequence(text: &str) -> Result<u64, OpenError> {
    let fits = text.len() == SEQUENCE_DIGITS && text.bytes().all(|b| b.is_ascii_digit());
    let position = if fits { text.parse().ok() } else { None };
    position.ok_or_else(|| malformed("sequence", text, "20 decimal digits with leading zeros"))
}

pub(super) fn version(text: &str) -> Result<u64, OpenError> {
    let version = text.parse().ok().filter(|version| *version >= 1);
    version.ok_or_else(|| malformed("aggregateversion", text, "a whole number from 1"))
}

/// `/service/partition`.
pub(super) fn source(text: Cow<'_, str>) -> Result<Source<'_>, OpenError> {
    let Some((service, partition)) = text.strip_prefix('/').and_then(|rest| rest.rsplit_once('/')) else {
        return Err(malformed("source", &text, "/service/partition"));
    };
    let digits = !partition.is_empty() && partition.bytes().all(|b| b.is_ascii_digit());
    let (true, false, Ok(partition)) = (digits, service.is_empty(), partition.parse()) else {
        return Err(malformed("source", &text, "/service/partition"));
    };
    let service_range = 1..1 + service.len();
    let service = match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[service_range]),
        Cow::Owned(text) => Cow::Owned(text[service_range].to_owned()),
    };
    Ok(Source { service, partition })
}
