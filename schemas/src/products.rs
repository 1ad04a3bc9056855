//! Events of service B: a product is created, changed, discontinued.
//!
//! Version 2 of `created` and `changed` added `price_cents`; version 1 upcasts to a product without a price.

use daybook_event::{Event, Fields};
use serde::Deserialize;
use uuid::Uuid;

/// Service B's name, the `source` of its events.
pub const SERVICE: &str = "products";
/// Its topic, without prefix.
pub const TOPIC: &str = "products.events";

/// What happened to a product.
#[derive(Debug, Clone, PartialEq, Eq, Event)]
#[event(service = SERVICE, topic = TOPIC, prefix = "shop.product.")]
pub enum ProductEvent {
    /// The product exists from now on.
    #[event("created.v2")]
    #[upcast(from = "created.v1", with = without_price)]
    Created(ProductDetails),
    /// The product has these details from now on.
    #[event("changed.v2")]
    #[upcast(from = "changed.v1", with = without_price)]
    Changed(ProductDetails),
    /// The product is no longer sold.
    #[event("discontinued.v1")]
    Discontinued(ProductDiscontinued),
}

/// All details of a product.
#[derive(Debug, Clone, PartialEq, Eq, Fields)]
pub struct ProductDetails {
    #[key]
    pub product_id: Uuid,
    pub title: String,
    /// File name or address of its image.
    pub image: String,
    /// Price in cents; `None` if the product has no price.
    pub price_cents: Option<i64>,
}

/// The product that is no longer sold.
#[derive(Debug, Clone, PartialEq, Eq, Fields)]
pub struct ProductDiscontinued {
    #[key]
    pub product_id: Uuid,
}

/// Details before products had prices.
#[derive(Deserialize)]
struct ProductDetailsV1 {
    product_id: Uuid,
    title: String,
    image: String,
}

fn without_price(old: ProductDetailsV1) -> ProductDetails {
    ProductDetails { product_id: old.product_id, title: old.title, image: old.image, price_cents: None }
}
