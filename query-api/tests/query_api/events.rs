//! The shop's events, in short.

use std::num::NonZeroU32;

use schemas::orders::{OrderCancelled, OrderPlaced};
use schemas::products::{ProductDetails, ProductDiscontinued};
use schemas::users::{UserDeleted, UserDetails};
use schemas::{OrderEvent, ProductEvent, ShopEvent, UserEvent};
use uuid::Uuid;

/// Ids that are short to write.
pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub(crate) fn signed_up(user: u128) -> ShopEvent {
    let text = |what: &str| format!("{what} of {user}");
    let (email, name, address) = (text("e-mail"), text("name"), text("address"));
    ShopEvent::User(UserEvent::SignedUp(UserDetails { user_id: id(user), email, name, address }))
}

pub(crate) fn user_deleted(user: u128) -> ShopEvent {
    ShopEvent::User(UserEvent::Deleted(UserDeleted { user_id: id(user) }))
}

pub(crate) fn created(product: u128, title: &str, price_cents: Option<i64>) -> ShopEvent {
    let (title, image) = (title.to_owned(), format!("{title}.jpg"));
    ShopEvent::Product(ProductEvent::Created(ProductDetails {
        product_id: id(product),
        title,
        image,
        price_cents,
    }))
}

pub(crate) fn discontinued(product: u128) -> ShopEvent {
    ShopEvent::Product(ProductEvent::Discontinued(ProductDiscontinued { product_id: id(product) }))
}

pub(crate) fn placed(order: u128, user: u128, product: u128, quantity: u32) -> ShopEvent {
    let quantity = NonZeroU32::new(quantity).unwrap();
    let (order_id, user_id, product_id) = (id(order), id(user), id(product));
    ShopEvent::Order(OrderEvent::Placed(OrderPlaced { order_id, user_id, product_id, quantity }))
}

pub(crate) fn cancelled(order: u128, user: u128, product: u128) -> ShopEvent {
    let (order_id, user_id, product_id) = (id(order), id(user), id(product));
    ShopEvent::Order(OrderEvent::Cancelled(OrderCancelled { order_id, user_id, product_id }))
}
