//! Sealing: an envelope as one line of JSON, in structured content mode.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use serde::ser::Serializer;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Envelope, Source, attribute};

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
