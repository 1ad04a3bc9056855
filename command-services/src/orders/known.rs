//! What service C remembers of users and products: who is there, and who is gone. Pure.

use daybook_event::event_data::{DataError, EventData as _};
use schemas::{ProductEvent, UserEvent, products, users};
use serde_json::value::RawValue;

use daybook_command::{Followed, Said, Standing};

/// Index of the users in [`FOLLOWS`].
pub(super) const USERS: usize = 0;
/// Index of the products in [`FOLLOWS`].
pub(super) const PRODUCTS: usize = 1;

/// The topics of services A and B.
pub(super) const FOLLOWS: &[Followed] = &[
    Followed { topic: users::TOPIC, service: users::SERVICE, read: user },
    Followed { topic: products::TOPIC, service: products::SERVICE, read: product },
];

fn user(event_type: &str, data: &RawValue) -> Result<Said, DataError> {
    Ok(match UserEvent::from_data(event_type, data)? {
        UserEvent::SignedUp(details) => Some((details.user_id, Standing::Present)),
        UserEvent::Changed(_) => None,
        UserEvent::Deleted(deleted) => Some((deleted.user_id, Standing::Gone)),
    })
}

fn product(event_type: &str, data: &RawValue) -> Result<Said, DataError> {
    Ok(match ProductEvent::from_data(event_type, data)? {
        ProductEvent::Created(details) => Some((details.product_id, Standing::Present)),
        ProductEvent::Changed(_) => None,
        ProductEvent::Discontinued(discontinued) => Some((discontinued.product_id, Standing::Gone)),
    })
}
