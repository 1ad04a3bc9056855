//! Structured content mode: the whole envelope is one JSON object.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::de::{Deserializer, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Envelope, OpenError, Source, attribute};

/// The envelope as JSON has it. Field order is the order on the wire.
#[derive(Serialize)]
struct Sealed<'a> {
    specversion: &'static str,
    id: Uuid,
    #[serde(serialize_with = "display")]
    source: &'a Source<'a>,
    r#type: &'a str,
    subject: Uuid,
    #[serde(serialize_with = "microseconds")]
    time: Timestamp,
    #[serde(serialize_with = "twenty_digits")]
    sequence: u64,
    aggregateversion: u64,
    correlationid: Uuid,
    causationid: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    datacontenttype: &'static str,
    data: &'a RawValue,
}

/// Seals an event: the value of its record, one line of JSON.
///
/// # Errors
/// None that a caller can cause: all parts are known to be expressible in JSON.
pub fn seal(envelope: &Envelope<'_>) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Sealed {
        specversion: "1.0",
        id: envelope.id,
        source: &envelope.source,
        r#type: &envelope.event_type,
        subject: envelope.subject,
        time: envelope.time,
        sequence: envelope.position,
        aggregateversion: envelope.aggregate_version,
        correlationid: envelope.correlation_id,
        causationid: envelope.causation_id,
        traceparent: envelope.traceparent.as_deref(),
        datacontenttype: "application/json",
        data: &envelope.data,
    })
}

fn display<S: Serializer>(value: &impl fmt::Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

fn microseconds<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{time:.6}"))
}

fn twenty_digits<S: Serializer>(position: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{position:0width$}", width = attribute::SEQUENCE_DIGITS))
}

/// The envelope as it comes. Every attribute may be missing here, so that the error can name it.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    specversion: Option<Text<'a>>,
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
    aggregateversion: Option<u64>,
    #[serde(borrow)]
    correlationid: Option<Text<'a>>,
    #[serde(borrow)]
    causationid: Option<Text<'a>>,
    #[serde(borrow)]
    traceparent: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// Text that borrows unless JSON's escapes forbid it. (serde's own `Option<Cow<str>>` always copies.)
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(Borrow)
    }
}

pub(super) fn open(value: &[u8]) -> Result<Envelope<'_>, OpenError> {
    let text = std::str::from_utf8(value).map_err(|error| OpenError::NotUtf8 { at: error.valid_up_to() })?;
    let wire: Wire<'_> = serde_json::from_str(text).map_err(|error| explain(text, &error))?;
    // First, because its absence means that this is no structured event at all.
    attribute::specversion(&required("specversion", wire.specversion)?)?;
    Ok(Envelope {
        id: attribute::uuid("id", &required("id", wire.id)?)?,
        source: attribute::source(required("source", wire.source)?)?,
        event_type: required("type", wire.r#type)?,
        subject: attribute::uuid("subject", &required("subject", wire.subject)?)?,
        time: attribute::time(&required("time", wire.time)?)?,
        position: attribute::sequence(&required("sequence", wire.sequence)?)?,
        aggregate_version: version(wire.aggregateversion)?,
        correlation_id: attribute::uuid("correlationid", &required("correlationid", wire.correlationid)?)?,
        causation_id: attribute::uuid("causationid", &required("causationid", wire.causationid)?)?,
        traceparent: wire.traceparent.map(|text| text.0),
        data: Cow::Borrowed(wire.data.ok_or(OpenError::Missing { attribute: "data" })?),
    })
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

fn version(found: Option<u64>) -> Result<u64, OpenError> {
    match found {
        Some(0) => Err(attribute::malformed("aggregateversion", "0", "a whole number from 1")),
        Some(version) => Ok(version),
        None => Err(OpenError::Missing { attribute: "aggregateversion" }),
    }
}

/// Reads a broken value again, to name the attribute; the usual case does not pay for that.
fn explain(text: &str, first: &serde_json::Error) -> OpenError {
    if first.is_syntax() || first.is_eof() {
        return OpenError::NotJson { detail: first.to_string() };
    }
    match serde_path_to_error::deserialize::<_, Wire<'_>>(&mut serde_json::Deserializer::from_str(text)) {
        Err(located) if located.path().to_string() != "." => OpenError::Malformed {
            attribute: located.path().to_string(),
            found: "of the wrong type".to_owned(),
            expected: located.inner().to_string(),
        },
        _ => OpenError::NotJson { detail: first.to_string() },
    }
}
