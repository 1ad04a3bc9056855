//! Attributes as text: one place for the rules that both content modes share.

use std::borrow::Cow;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{OpenError, Source};
use crate::explain;

/// Digits of a position on the wire; with leading zeros, so that text order is number order.
pub(super) const SEQUENCE_DIGITS: usize = 20;
/// Highest epoch of a writer: the end of CloudEvents' type *Integer*.
pub(super) const EPOCH_MAX: u32 = i32::MAX.unsigned_abs();
pub(super) const EPOCH_EXPECTED: &str = "a whole number up to 2147483647";
pub(super) const VERSION_EXPECTED: &str = "a whole number from 1";

pub(super) fn malformed(attribute: &str, found: &str, expected: &str) -> OpenError {
    OpenError::Malformed {
        attribute: attribute.to_owned(),
        found: format!("`{}`", explain::shown(found)),
        expected: expected.to_owned(),
    }
}

pub(super) fn uuid(attribute: &'static str, text: &str) -> Result<Uuid, OpenError> {
    Uuid::from_str(text).map_err(|_| malformed(attribute, text, "a UUID"))
}

pub(super) fn specversion(text: &str) -> Result<(), OpenError> {
    if text == "1.0" { Ok(()) } else { Err(malformed("specversion", text, "1.0")) }
}

pub(crate) fn time(text: &str) -> Result<Timestamp, OpenError> {
    let time = if is_rfc3339(text.as_bytes()) { Timestamp::from_str(text).ok() } else { None };
    time.ok_or_else(|| malformed("time", text, "a time as of RFC 3339"))
}

/// The outline of RFC 3339; the parser also takes other forms of ISO 8601, which not every reader knows.
fn is_rfc3339(text: &[u8]) -> bool {
    let dated = matches!(text, [_, _, _, _, b'-', _, _, b'-', _, _, b'T' | b't', ..]);
    let zoned = matches!(text, [.., b'Z' | b'z'] | [.., b'+' | b'-', _, _, b':', _, _]);
    dated && zoned
}

pub(super) fn sequence(text: &str) -> Result<u64, OpenError> {
    let fits = text.len() == SEQUENCE_DIGITS && text.bytes().all(|b| b.is_ascii_digit());
    let position = if fits { text.parse().ok() } else { None };
    position.ok_or_else(|| malformed("sequence", text, "20 decimal digits with leading zeros"))
}

pub(super) fn version(text: &str) -> Result<u64, OpenError> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let version = if digits { text.parse().ok().filter(|version| *version >= 1) } else { None };
    version.ok_or_else(|| malformed("aggregateversion", text, VERSION_EXPECTED))
}

/// An event from before there were epochs has none, which is epoch 0.
pub(super) fn epoch(text: Option<&str>) -> Result<u32, OpenError> {
    let Some(text) = text else { return Ok(0) };
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let epoch = if digits { text.parse().ok().filter(|epoch| *epoch <= EPOCH_MAX) } else { None };
    epoch.ok_or_else(|| malformed("writerepoch", text, EPOCH_EXPECTED))
}

/// JSON in base 64, as RFC 4648 has it.
pub(super) fn data_base64(text: &str) -> Result<Box<RawValue>, OpenError> {
    let bytes = STANDARD.decode(text).map_err(|_| malformed("data_base64", text, "base 64"))?;
    let json = String::from_utf8(bytes).ok().and_then(|json| RawValue::from_string(json).ok());
    json.ok_or_else(|| malformed("data_base64", text, "JSON in base 64"))
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
