//! What service C keeps of users and products: who is there, and who is gone. Pure.

use daybook_command::{Existence, Followed, Reference, ReferenceUpdate};
use schemas::{ProductEvent, UserEvent};
use serde::{Deserialize, Serialize};

/// The topics of services A and B.
pub(super) const FOLLOWS: &[Followed] = &[Followed::of::<User>(), Followed::of::<Product>()];

/// A user who may order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct User;

impl Reference for User {
    type Event = UserEvent;

    fn update(event: UserEvent) -> ReferenceUpdate<Self> {
        match event {
            UserEvent::SignedUp(_) => Some(Existence::Present(Self)),
            UserEvent::Changed(_) => None,
            UserEvent::Deleted(_) => Some(Existence::Gone),
        }
    }
}

/// Something that may be ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product;

impl Reference for Product {
    type Event = ProductEvent;

    fn update(event: ProductEvent) -> ReferenceUpdate<Self> {
        match event {
            ProductEvent::Created(_) => Some(Existence::Present(Self)),
            ProductEvent::Changed(_) => None,
            ProductEvent::Discontinued(_) => Some(Existence::Gone),
        }
    }
}
