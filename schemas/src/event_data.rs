//! What the kernel asks of a domain's events: a type name, and JSON data to and from it.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::envelope::{self, Envelope, OpenError};
use crate::explain;

/// A domain's events in their newest shape.
pub trait EventData: Sized {
    /// The newest type name of this event, such as `shop.user.signed-up.v1`.
    fn event_type(&self) -> &'static str;

    /// The event's `data` as JSON.
    ///
    /// # Errors
    /// Only when a value cannot be expressed in JSON, such as a map with keys that are no strings.
    fn to_data(&self) -> serde_json::Result<Box<RawValue>>;

    /// Reads `data` of any published version of a type and upcasts it to the newest shape.
    ///
    /// # Errors
    /// [`DataError`] names the type, and the field where the data does not fit it.
    fn from_data(event_type: &str, data: &RawValue) -> Result<Self, DataError>;
}

/// Why the `data` of an event could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// No version of this type is known.
    #[error(
        "event type `{event_type}` is unknown: this program is older than the event, or the event is not meant for it"
    )]
    UnknownType {
        /// The type as it stands in the event.
        event_type: String,
    },
    /// The type is known, but only in older versions.
    #[error(
        "event type `{event_type}` is of a future version: the newest known is {newest}; upgrade this program"
    )]
    FutureVersion {
        /// The type as it stands in the event.
        event_type: String,
        /// The newest known version of that type.
        newest: String,
    },
    /// A field is missing or has the wrong type.
    #[error("data of {event_type} does not fit its schema{}: {detail}", at(field))]
    Field {
        /// The type of the event.
        event_type: String,
        /// Path of the field; empty where the data as a whole is wrong.
        field: String,
        /// What was expected and found.
        detail: String,
    },
}

fn at(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!(" at `{field}`") }
}

/// Reads `data`, a JSON object, as `T`; unknown fields are ignored.
///
/// # Errors
/// [`DataError::Field`].
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

/// The error for a type that is not known, given `newest`, the newest known name of each type.
#[must_use]
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

/// Why a record is not an event that this program can take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The envelope cannot be opened.
    #[error(transparent)]
    Envelope(#[from] OpenError),
    /// The data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// Opens a record's value down to the event: the envelope, then its data, upcast to the newest shape.
///
/// `headers` is called only if the value is not a structured event.
///
/// # Errors
/// [`EventError`] names the attribute or field.
pub fn open<'a, E: EventData>(
    value: Option<&'a [u8]>,
    headers: impl FnOnce() -> Vec<(String, Vec<u8>)>,
) -> Result<(Envelope<'a>, E), EventError> {
    let envelope = envelope::open(value, headers)?;
    let event = E::from_data(&envelope.event_type, &envelope.data)?;
    Ok((envelope, event))
}
