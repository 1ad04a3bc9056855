//! Events of service A: a user signs up, changes or deletes the account.

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use daybook_event::canonical::Cursor;
use daybook_event::event_data::{DataError, EventData, read_fields, unknown_type};

/// Service A's name, the `source` of its events.
pub const SERVICE: &str = "users";
/// Its topic, without prefix.
pub const TOPIC: &str = "users.events";
/// Start of all its types' names.
pub const TYPE_PREFIX: &str = "shop.user.";

const SIGNED_UP: &str = "shop.user.signed-up.v1";
const CHANGED: &str = "shop.user.changed.v1";
const DELETED: &str = "shop.user.deleted.v1";
/// The newest version of every type.
pub const NEWEST: [&str; 3] = [SIGNED_UP, CHANGED, DELETED];

/// What happened to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserEvent {
    /// The user exists from now on.
    SignedUp(UserDetails),
    /// The account has these details from now on.
    Changed(UserDetails),
    /// The account is gone.
    Deleted(UserDeleted),
}

/// All details of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDetails {
    /// Id of the user.
    pub user_id: Uuid,
    /// E-mail address as the user wrote it.
    pub email: String,
    /// Name.
    pub name: String,
    /// Postal address.
    pub address: String,
}

/// The account that was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDeleted {
    /// Id of the user.
    pub user_id: Uuid,
}

impl UserEvent {
    /// The user this is about.
    #[must_use]
    pub fn user_id(&self) -> Uuid {
        match self {
            Self::SignedUp(details) | Self::Changed(details) => details.user_id,
            Self::Deleted(deleted) => deleted.user_id,
        }
    }
}

impl EventData for UserEvent {
    fn event_type(&self) -> &'static str {
        match self {
            Self::SignedUp(_) => SIGNED_UP,
            Self::Changed(_) => CHANGED,
            Self::Deleted(_) => DELETED,
        }
    }

    fn to_data(&self) -> serde_json::Result<Box<RawValue>> {
        match self {
            Self::SignedUp(details) | Self::Changed(details) => to_raw_value(details),
            Self::Deleted(deleted) => to_raw_value(deleted),
        }
    }

    fn from_data(event_type: &str, data: &RawValue) -> Result<Self, DataError> {
        match event_type {
            SIGNED_UP => read_fields(event_type, data).map(Self::SignedUp),
            CHANGED => read_fields(event_type, data).map(Self::Changed),
            DELETED => read_fields(event_type, data).map(Self::Deleted),
            _ => Err(unknown_type(event_type, &NEWEST)),
        }
    }

    #[inline]
    fn read_canonical(event_type: &str, data: &[u8]) -> Option<Self> {
        match event_type {
            SIGNED_UP => read_details(data).map(Self::SignedUp),
            CHANGED => read_details(data).map(Self::Changed),
            DELETED => read_deleted(data).map(Self::Deleted),
            _ => None,
        }
    }
}

fn read_details(data: &[u8]) -> Option<UserDetails> {
    let mut at = Cursor::new(data);
    let user_id = at.uuid(br#"{"user_id":""#)?;
    let email = at.text(br#"","email":""#)?;
    let name = at.text(br#"","name":""#)?;
    let address = at.text(br#"","address":""#)?;
    at.end(br#""}"#)?;
    Some(UserDetails { user_id, email: email.to_owned(), name: name.to_owned(), address: address.to_owned() })
}

fn read_deleted(data: &[u8]) -> Option<UserDeleted> {
    let mut at = Cursor::new(data);
    let user_id = at.uuid(br#"{"user_id":""#)?;
    at.end(br#""}"#)?;
    Some(UserDeleted { user_id })
}
