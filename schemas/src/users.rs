//! Events of service A: a user signs up, changes or deletes the account.

use daybook_event::{Event, Fields};
use uuid::Uuid;

/// Service A's name, the `source` of its events.
pub const SERVICE: &str = "users";
/// Its topic, without prefix.
pub const TOPIC: &str = "users.events";

/// What happened to a user.
#[derive(Debug, Clone, PartialEq, Eq, Event)]
#[event(service = SERVICE, topic = TOPIC, prefix = "shop.user.")]
pub enum UserEvent {
    /// The user exists from now on.
    #[event("signed-up.v1")]
    SignedUp(UserDetails),
    /// The account has these details from now on.
    #[event("changed.v1")]
    Changed(UserDetails),
    /// The account is gone.
    #[event("deleted.v1")]
    Deleted(UserDeleted),
}

/// All details of an account.
#[derive(Debug, Clone, PartialEq, Eq, Fields)]
pub struct UserDetails {
    #[key]
    pub user_id: Uuid,
    /// E-mail address as the user wrote it.
    pub email: String,
    pub name: String,
    /// Postal address.
    pub address: String,
}

/// The account that was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Fields)]
pub struct UserDeleted {
    #[key]
    pub user_id: Uuid,
}
