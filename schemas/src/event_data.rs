//! What the kernel asks of a domain's events: a type name, and JSON data to and from it.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::envelope::{self, Envelope, OpenError};

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
        "event type {event_type} is unknown: this program is older than the event, or the event is not meant for it"
    )]
    UnknownType {
        /// The type as it stands in the event.
        event_type: String,
    },
    /// The type is known, but only in older versions.
    #[error(
        "event type {event_type} is of a future version: the newest known is {newest}; upgrade this program"
    )]
    FutureVersion {
        /// The type as it stands in the event.
        event_type: String,
        /// The newest known version of that type.
        newest: String,
    },
    /// A field is missing or has the wrong type.
    #[error("data of {event_type} does not fit its schema at `{field}`: {detail}")]
    Field {
        /// The type of the event.
        event_type: String,
        /// Path of the field; empty where JSON itself is broken.
        field: String,
        /// What was expected and found.
        detail: String,
    },
}

/// Reads `data` as `T`; on failure reads it again to learn which field was to blame, so that the usual case pays nothing.
///
/// # Errors
/// [`DataError::Field`].
pub fn read_fields<T: DeserializeOwned>(event_type: &str, data: &RawValue) -> Result<T, DataError> {
    serde_json::from_str(data.get()).map_err(|first| explain::<T>(event_type, data, &first))
}

fn explain<T: DeserializeOwned>(event_type: &str, data: &RawValue, first: &serde_json::Error) -> DataError {
    let (field, detail) =
        match serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_str(data.get())) {
            Err(located) => (located.path().to_string(), located.inner().to_string()),
            Ok(_) => (String::new(), first.to_string()),
        };
    let field = if field == "." { quoted(&detail).unwrap_or_default() } else { field };
    DataError::Field { event_type: event_type.to_owned(), field, detail }
}

/// serde reports a missing field at the object that lacks it, and its name in backquotes.
fn quoted(detail: &str) -> Option<String> {
    detail.strip_prefix("missing field `")?.split('`').next().map(str::to_owned)
}

/// The error for a type that is none of `newest`, the newest known name of each type.
#[must_use]
pub fn unknown_type(event_type: &str, newest: &[&'static str]) -> DataError {
    let same_type = |known: &&&str| stem(known).is_some() && stem(known) == stem(event_type);
    match newest.iter().find(same_type) {
        Some(newest) => {
            DataError::FutureVersion { event_type: event_type.to_owned(), newest: (*newest).to_owned() }
        }
        None => DataError::UnknownType { event_type: event_type.to_owned() },
    }
}

fn stem(event_type: &str) -> Option<&str> {
    let (stem, version) = event_type.rsplit_once(".v")?;
    (!version.is_empty() && version.bytes().all(|b| b.is_ascii_digit())).then_some(stem)
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
