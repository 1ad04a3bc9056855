//! Opening in structured content mode: the whole envelope is one JSON object.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, Visitor};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Envelope, OpenError, Source, attribute};
use crate::explain::{self, Fault};

/// The envelope as it comes. Every attribute may be missing here, so that the error can name it.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    specversion: Option<Text<'a>>,
    #[serde(borrow)]
    writerepoch: Option<Number<'a>>,
    #[serde(borrow)]
    previousid: Option<Text<'a>>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    source: Option<Text<'a>>,
    #[serde(borrow)]
    r#type: Option<Text<'a>>,
    #[serde(borrow)]
    subject: Option<Text<'a>>,
    #[serde(borrow)]
    time: Option<Text<'a>>,
    #[serde(borrow)]
    sequence: Option<Text<'a>>,
    #[serde(borrow)]
    aggregateversion: Option<Number<'a>>,
    #[serde(borrow)]
    correlationid: Option<Text<'a>>,
    #[serde(borrow)]
    causationid: Option<Text<'a>>,
    #[serde(borrow)]
    traceparent: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    data_base64: Option<Text<'a>>,
}

/// The digits of a number, which may come as text: bridges from binary mode, where all is text, write it so.
struct Number<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Number<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Number<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("u64")
            }
            fn visit_u64<E>(self, number: u64) -> Result<Number<'de>, E> {
                Ok(Number(Cow::Owned(number.to_string())))
            }
            fn visit_borrowed_str<E>(self, digits: &'de str) -> Result<Number<'de>, E> {
                Ok(Number(Cow::Borrowed(digits)))
            }
            fn visit_str<E: serde::de::Error>(self, digits: &str) -> Result<Number<'de>, E> {
                Ok(Number(Cow::Owned(digits.to_owned())))
            }
        }
        from.deserialize_any(Either)
    }
}

/// Text that borrows unless JSON's escapes forbid it. (serde's own `Option<Cow<str>>` always copies.)
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

pub(super) fn open(value: &[u8]) -> Result<Envelope<'_>, OpenError> {
    let text = std::str::from_utf8(value).map_err(|error| OpenError::NotUtf8 { at: error.valid_up_to() })?;
    if !explain::is_object(text) {
        return Err(not_an_object(text));
    }
    let wire: Wire<'_> = serde_json::from_str(text).map_err(|error| explain(text, &error))?;
    // First, because its absence means that this is no structured event at all.
    attribute::specversion(&required("specversion", wire.specversion)?)?;
    Ok(Envelope {
        writer_epoch: epoch(wire.writerepoch)?,
        previous_id: wire.previousid.map(|text| attribute::uuid("previousid", &text.0)).transpose()?,
        id: attribute::uuid("id", &required("id", wire.id)?)?,
        source: attribute::source(required("source", wire.source)?)?,
        event_type: required("type", wire.r#type)?,
        subject: attribute::uuid("subject", &required("subject", wire.subject)?)?,
        time: attribute::time(&required("time", wire.time)?)?,
        position: attribute::sequence(&required("sequence", wire.sequence)?)?,
        aggregate_version: attribute::version(&required(
            "aggregateversion",
            wire.aggregateversion.map(|number| Text(number.0)),
        )?)?,
        correlation_id: attribute::uuid("correlationid", &required("correlationid", wire.correlationid)?)?,
        causation_id: attribute::uuid("causationid", &required("causationid", wire.causationid)?)?,
        traceparent: wire.traceparent.map(|text| text.0),
        data: data(wire.data, wire.data_base64)?,
    })
}

/// Id, source and epoch of a claim ([`crate::claim`]), which has fewer attributes than an event.
pub(crate) fn claimed_parts(value: &[u8]) -> Result<(Uuid, Source<'_>, u32), OpenError> {
    let text = std::str::from_utf8(value).map_err(|error| OpenError::NotUtf8 { at: error.valid_up_to() })?;
    let wire: Wire<'_> = serde_json::from_str(text).map_err(|error| explain(text, &error))?;
    attribute::specversion(&required("specversion", wire.specversion)?)?;
    let id = attribute::uuid("id", &required("id", wire.id)?)?;
    let source = attribute::source(required("source", wire.source)?)?;
    match epoch(wire.writerepoch)? {
        0 => Err(OpenError::Missing { attribute: "writerepoch" }),
        epoch => Ok((id, source, epoch)),
    }
}

/// Whether a value that failed with `error` was meant as a structured event all the same.
pub(super) fn is_structured(error: &OpenError) -> bool {
    !matches!(
        error,
        OpenError::NotUtf8 { .. }
            | OpenError::NotJson { .. }
            | OpenError::Missing { attribute: "specversion" }
    )
}

fn required<'a>(attribute: &'static str, text: Option<Text<'a>>) -> Result<Cow<'a, str>, OpenError> {
    text.map(|text| text.0).ok_or(OpenError::Missing { attribute })
}

fn epoch(found: Option<Number<'_>>) -> Result<u32, OpenError> {
    attribute::epoch(found.as_ref().map(|number| &*number.0))
}

fn data<'a>(plain: Option<&'a RawValue>, base64: Option<Text<'_>>) -> Result<Cow<'a, RawValue>, OpenError> {
    match (plain, base64) {
        (Some(data), None) => Ok(Cow::Borrowed(data)),
        (None, Some(Text(base64))) => attribute::data_base64(&base64).map(Cow::Owned),
        (None, None) => Err(OpenError::Missing { attribute: "data" }),
        (Some(_), Some(Text(base64))) => {
            Err(attribute::malformed("data_base64", &base64, "nothing, because there is `data`"))
        }
    }
}

fn not_an_object(text: &str) -> OpenError {
    let detail = match serde_json::from_str::<IgnoredAny>(text) {
        Err(error) => error.to_string(),
        Ok(_) => format!("an object was expected, found {}", explain::shown(text.trim())),
    };
    OpenError::NotJson { detail }
}

fn explain(text: &str, first: &serde_json::Error) -> OpenError {
    if first.is_syntax() || first.is_eof() {
        return OpenError::NotJson { detail: first.to_string() };
    }
    // A binary-mode event's data may have fields of its own that are called like attributes.
    if !has_specversion(text) {
        return OpenError::Missing { attribute: "specversion" };
    }
    match explain::fault::<Wire<'_>>(text) {
        Some(fault) => wrong_type(fault),
        None => OpenError::NotJson { detail: first.to_string() },
    }
}

fn has_specversion(text: &str) -> bool {
    let attributes = serde_json::from_str::<HashMap<String, IgnoredAny>>(text);
    attributes.is_ok_and(|attributes| attributes.contains_key("specversion"))
}

fn wrong_type(fault: Fault) -> OpenError {
    let (found, expected) = match fault.field.as_str() {
        _ if fault.detail.starts_with("duplicate field") => ("given twice", "one value"),
        "aggregateversion" => (found(&fault.detail), attribute::VERSION_EXPECTED),
        "writerepoch" => (found(&fault.detail), attribute::EPOCH_EXPECTED),
        _ => (found(&fault.detail), "a string"),
    };
    OpenError::Malformed {
        found: explain::shown(found),
        expected: expected.to_owned(),
        attribute: fault.field,
    }
}

/// The middle of serde's "invalid type: integer `5`, expected a string".
fn found(detail: &str) -> &str {
    let found = ["invalid type: ", "invalid value: "].iter().find_map(|start| detail.strip_prefix(start));
    found.and_then(|found| found.rsplit_once(", expected ")).map_or(detail, |(found, _)| found)
}
