//! The envelope of every event: CloudEvents 1.0 with the *sequence* extension and Daybook's own attributes.
//!
//! An event is written in *structured content mode* of the Kafka binding: the whole envelope is the record's value,
//! one line of JSON, attributes in the order of [`Envelope`]'s fields. Events in *binary mode* (attributes in headers
//! `ce_…`, data as the value), which other producers may write, are read as well; headers are asked for only when the
//! value is not a structured event, because fetching them from librdkafka costs more than parsing the whole value.
//!
//! Sources: CloudEvents 1.0.2, its JSON format, its Kafka protocol binding, and the extensions `sequence` and
//! `distributedtracing`.

mod attribute;
mod binary;
mod canonical;
mod seal;
mod structured;

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde_json::value::RawValue;
use uuid::Uuid;

pub(crate) use attribute::time as read_time;
pub(crate) use canonical::open as open_canonical;
pub use seal::{as_sent, seal};
pub(crate) use structured::claimed_parts;

pub const EPOCH_MAX: u32 = attribute::EPOCH_MAX;

/// Value of the record header `content-type` of an event in structured mode.
pub const CONTENT_TYPE: &str = "application/cloudevents+json; charset=UTF-8";

/// One event with everything around its data. Borrows from the record where it can.
#[derive(Debug, Clone)]
pub struct Envelope<'a> {
    /// Epoch of the writer that sent it; 0 if it has none. See [`crate::sequence`].
    pub writer_epoch: u32,
    /// Id of the event before it in its partition; of a partition's first event, id of the log that it belongs to. None of an event
    /// that does not say. See [`crate::sequence`].
    pub previous_id: Option<Uuid>,
    /// Id of the event, a UUID of version 7; the same on every redelivery.
    pub id: Uuid,
    /// Who wrote it, and the scope of `position`.
    pub source: Source<'a>,
    /// Type with version, such as `shop.user.signed-up.v1`.
    pub event_type: Cow<'a, str>,
    pub subject: Uuid,
    /// When the command was decided, in microseconds.
    pub time: Timestamp,
    /// The event's position in its partition: contiguous from 0. On the wire: `sequence`.
    pub position: u64,
    /// Version of the aggregate after this event, from 1.
    pub aggregate_version: u64,
    /// Id of the request that began it all.
    pub correlation_id: Uuid,
    /// Id of the command or event that caused this one.
    pub causation_id: Uuid,
    /// W3C trace context of the request, if there was one.
    pub traceparent: Option<Cow<'a, str>>,
    pub data: Cow<'a, RawValue>,
}

/// Who wrote an event: `/users/3` is service `users`, partition 3 of its topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source<'a> {
    pub service: Cow<'a, str>,
    pub partition: i32,
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/{}", self.service, self.partition)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("the record has no value; a tombstone does not belong in an event topic")]
    NoValue,
    #[error("the value is not UTF-8 from byte {at} on")]
    NotUtf8 { at: usize },
    #[error("the value is not an event in JSON: {detail}")]
    NotJson { detail: String },
    #[error("attribute `{attribute}` is missing")]
    Missing { attribute: &'static str },
    #[error("attribute `{attribute}` is {found}, expected {expected}")]
    Malformed { attribute: String, found: String, expected: String },
}

/// Opens the value of a record. `headers` is called only if the value is not a structured event.
pub fn open<'a, H>(value: Option<&'a [u8]>, headers: H) -> Result<Envelope<'a>, OpenError>
where
    H: FnOnce() -> Vec<(String, Vec<u8>)>,
{
    let value = value.ok_or(OpenError::NoValue)?;
    match structured::open(value) {
        Err(error) if !structured::is_structured(&error) => {
            binary::open(value, &headers()).unwrap_or(Err(error))
        }
        result => result,
    }
}
