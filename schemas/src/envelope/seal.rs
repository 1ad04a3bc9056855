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
    #[serde(skip_serializing_if = "is_zero")]
    writerepoch: u32,
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
        writerepoch: envelope.writer_epoch,
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

/// What [`seal`] begins with; an epoch stands right behind it, so that it can be put in without reading the rest.
const BEFORE_EPOCH: &[u8] = br#"{"specversion":"1.0","#;

/// A sealed event that has no epoch yet, with the epoch of the writer that sends it; `None` if it was not sealed by
/// [`seal`], or has one already.
///
/// Events are sealed when they are decided, and get their epoch when they are sent: between the two another writer may
/// have to be opened, with a higher one.
#[must_use]
pub fn with_epoch(sealed: &[u8], epoch: u32) -> Option<Vec<u8>> {
    let rest = sealed.strip_prefix(BEFORE_EPOCH).filter(|rest| rest.starts_with(br#""id":"#))?;
    let attribute = format!(r#""writerepoch":{epoch},"#);
    Some([BEFORE_EPOCH, attribute.as_bytes(), rest].concat())
}

fn is_zero(epoch: &u32) -> bool {
    *epoch == 0
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
