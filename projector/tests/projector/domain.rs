//! The shop's events, as its services would write them.

use std::num::NonZeroU32;

pub(crate) use projector::{layout, projection};
use schemas::orders::{OrderCancelled, OrderPlaced};
use schemas::products::{ProductDetails, ProductDiscontinued};
use schemas::users::{UserDeleted, UserDetails};
use schemas::{OrderEvent, ProductEvent, ShopEvent, UserEvent};
use uuid::Uuid;

/// What the log of these tests is made of.
pub(crate) type Happened = ShopEvent;

pub(crate) fn topic_of(event: &ShopEvent) -> &'static str {
    match event {
        ShopEvent::User(_) => schemas::users::TOPIC,
        ShopEvent::Product(_) => schemas::products::TOPIC,
        ShopEvent::Order(_) => schemas::orders::TOPIC,
    }
}

pub(crate) fn signed_up(user_id: Uuid) -> ShopEvent {
    let text = |what: &str| format!("{what} of {user_id}");
    let (email, name, address) = (text("e-mail"), text("name"), text("address"));
    ShopEvent::User(UserEvent::SignedUp(UserDetails { user_id, email, name, address }))
}

pub(crate) fn user_deleted(user_id: Uuid) -> ShopEvent {
    ShopEvent::User(UserEvent::Deleted(UserDeleted { user_id }))
}

pub(crate) fn created(product_id: Uuid, title: &str, price_cents: Option<i64>) -> ShopEvent {
    let (title, image) = (title.to_owned(), format!("{title}.jpg"));
    ShopEvent::Product(ProductEvent::Created(ProductDetails { product_id, title, image, price_cents }))
}

pub(crate) fn discontinued(product_id: Uuid) -> ShopEvent {
    ShopEvent::Product(ProductEvent::Discontinued(ProductDiscontinued { product_id }))
}

pub(crate) fn placed(order_id: Uuid, user_id: Uuid, product_id: Uuid, quantity: u32) -> ShopEvent {
    let quantity = NonZeroU32::new(quantity).unwrap();
    ShopEvent::Order(OrderEvent::Placed(OrderPlaced { order_id, user_id, product_id, quantity }))
}

pub(crate) fn cancelled(order_id: Uuid, user_id: Uuid, product_id: Uuid) -> ShopEvent {
    ShopEvent::Order(OrderEvent::Cancelled(OrderCancelled { order_id, user_id, product_id }))
}
