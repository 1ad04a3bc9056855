//! Service B over HTTP: its routes, and the bodies that they take.

use daybook_command::http::Routes;
use schemas::products::ProductDetails;
use serde::Deserialize;

use super::rules::{ProductChange, ProductCommand, Products};
use crate::fields::present;

#[must_use]
pub fn routes() -> Routes<Products> {
    Routes::of("/products", "product_id")
        .create(|product_id, Create { title, image, price_cents }| {
            ProductCommand::Create(ProductDetails { product_id, title, image, price_cents })
        })
        .change(|product_id, Change { title, image, price_cents }| {
            ProductCommand::Change(product_id, ProductChange { title, image, price_cents })
        })
        .delete(ProductCommand::Discontinue)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    title: String,
    image: String,
    price_cents: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default, deserialize_with = "present")]
    title: Option<String>,
    #[serde(default, deserialize_with = "present")]
    image: Option<String>,
    /// Null takes the price away.
    #[serde(default, deserialize_with = "present")]
    price_cents: Option<Option<i64>>,
}
