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
    #[serde(skip_serializing_if = "Option::is_none")]
    previousid: Option<Uuid>,
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
pub fn seal(envelope: &Envelope<'_>) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Sealed {
        specversion: "1.0",
        writerepoch: envelope.writer_epoch,
        previousid: envelope.previous_id,
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

/// What [`seal`] begins with; what is known only when an event is sent stands right behind it, so that it can be put in without
/// reading the rest.
const BEFORE_SENT: &[u8] = br#"{"specversion":"1.0","#;

const SENT_BYTES_MAX: usize = 80;

/// A sealed event as it is sent: with the epoch of the writer that sends it, and the id of the event that it sent before, or that
/// it found at the log's end. `None` if it was not sealed by [`seal`], or has one of them already.
///
/// Events are sealed when they are decided, and get these when they are sent: between the two another writer may have to be
/// opened, with a higher epoch, and the log's end is read again.
pub fn as_sent(sealed: &[u8], epoch: u32, previous_id: Option<Uuid>) -> Option<Vec<u8>> {
    let rest = sealed.strip_prefix(BEFORE_SENT).filter(|rest| rest.starts_with(br#""id":"#))?;
    let mut sent = Vec::with_capacity(sealed.len() + SENT_BYTES_MAX);
    sent.extend_from_slice(BEFORE_SENT);
    sent.extend_from_slice(format!(r#""writerepoch":{epoch},"#).as_bytes());
    if let Some(id) = previous_id {
        sent.extend_from_slice(br#""previousid":""#);
        sent.extend_from_slice(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
        sent.extend_from_slice(br#"","#);
    }
    sent.extend_from_slice(rest);
    Some(sent)
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
