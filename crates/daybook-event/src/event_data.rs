//! What the kernel asks of a domain's events: a type name, and JSON data to and from it.

mod event;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::envelope::{self, OpenError, Source};
use crate::explain;
pub use event::{Event, Keyed, Topic};

/// A domain's events in their newest shape.
pub trait EventData: Sized {
    /// The newest type name of this event, such as `shop.user.signed-up.v1`.
    fn event_type(&self) -> &'static str;

    /// The event's `data` as JSON.
    /// Errors: Only when a value cannot be expressed in JSON, such as a map with keys that are no strings.
    fn to_data(&self) -> serde_json::Result<Box<RawValue>>;

    /// Reads `data` of any published version of a type and upcasts it to the newest shape.
    fn from_data(event_type: &str, data: &RawValue) -> Result<Self, DataError>;

    /// Reads `data` that is exactly as `to_data` writes it, down to the last byte, as [`Self::from_data`] would read it.
    ///
    /// This is for speed alone: `None` says nothing about the data, and [`Self::from_data`] judges it.
    /// [`crate::canonical`] has what reading takes.
    fn read_canonical(event_type: &str, data: &[u8]) -> Option<Self> {
        _ = (event_type, data);
        None
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    #[error(
        "event type `{event_type}` is unknown: this program is older than the event, or the event is not meant for it"
    )]
    UnknownType { event_type: String },
    #[error(
        "event type `{event_type}` is of a future version: the newest known is {newest}; upgrade this program"
    )]
    FutureVersion { event_type: String, newest: String },
    #[error("data of {event_type} does not fit its schema{}: {detail}", at(field))]
    Field {
        event_type: String,
        /// Path of the field; empty where the data as a whole is wrong.
        field: String,
        detail: String,
    },
}

fn at(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!(" at `{field}`") }
}

/// Reads `data`, a JSON object, as `T`; unknown fields are ignored.
pub fn read_fields<T: DeserializeOwned>(event_type: &str, data: &RawValue) -> Result<T, DataError> {
    if !explain::is_object(data.get()) {
        return Err(does_not_fit(event_type, "", "a JSON object was expected"));
    }
    serde_json::from_str(data.get()).map_err(|first| match explain::fault::<T>(data.get()) {
        Some(fault) => does_not_fit(event_type, &fault.field, &fault.detail),
        None => does_not_fit(event_type, "", &first.to_string()),
    })
}

fn does_not_fit(event_type: &str, field: &str, detail: &str) -> DataError {
    DataError::Field {
        event_type: event_type.to_owned(),
        field: field.to_owned(),
        detail: explain::shown(detail),
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    #[error(transparent)]
    Envelope(#[from] OpenError),
    #[error(transparent)]
    Data(#[from] DataError),
}

/// An event, with what its readers use of its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened<'a, E> {
    pub writer_epoch: u32,
    /// Id of the event before it in its partition, or of its log; see [`envelope::Envelope`].
    pub previous_id: Option<Uuid>,
    pub id: Uuid,
    /// Who wrote it, and the scope of `position`.
    pub source: Source<'a>,
    /// The event's position in its partition.
    pub position: u64,
    pub time: Timestamp,
    /// Version of the aggregate after this event.
    pub aggregate_version: u64,
    pub event: E,
}

/// Opens a record's value down to the event: the envelope, then its data, upcast to the newest shape.
///
/// `headers` is called only if the value is not a structured event.
pub fn open<'a, E: EventData>(
    value: Option<&'a [u8]>,
    headers: impl FnOnce() -> Vec<(String, Vec<u8>)>,
) -> Result<Opened<'a, E>, EventError> {
    match value.and_then(open_canonical) {
        Some(opened) => Ok(opened),
        None => open_any(value, headers),
    }
}

/// What [`open`] tries first: the value as our own services write it, without escapes and with a newest type.
///
/// `None` says nothing about whether the value is an event.
#[inline]
pub fn open_canonical<E: EventData>(value: &[u8]) -> Option<Opened<'_, E>> {
    let sealed = envelope::open_canonical(value)?;
    Some(Opened {
        writer_epoch: sealed.writer_epoch,
        previous_id: sealed.previous_id,
        id: sealed.id,
        source: sealed.source,
        position: sealed.position,
        time: sealed.time,
        aggregate_version: sealed.aggregate_version,
        event: E::read_canonical(sealed.event_type, sealed.data)?,
    })
}

/// Opens any form of an event.
fn open_any<'a, E: EventData>(
    value: Option<&'a [u8]>,
    headers: impl FnOnce() -> Vec<(String, Vec<u8>)>,
) -> Result<Opened<'a, E>, EventError> {
    let envelope = envelope::open(value, headers)?;
    Ok(Opened {
        writer_epoch: envelope.writer_epoch,
        previous_id: envelope.previous_id,
        event: E::from_data(&envelope.event_type, &envelope.data)?,
        id: envelope.id,
        source: envelope.source,
        position: envelope.position,
        time: envelope.time,
        aggregate_version: envelope.aggregate_version,
    })
}

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
