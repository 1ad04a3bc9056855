//! The shop's queries.
//!
//! One file per answer: [`ordered_products`] (the join that the whole service is for), [`orders`], [`products`]; each has
//! a pure half that is tested as data, and a handler that reads rows. [`user`] is what both answers about a user share.

pub mod ordered_products;
pub mod orders;
pub mod products;
mod user;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::kernel::api::Api;

/// The shop's route table.
pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/users/{user_id}/products", get(ordered_products::answer))
        .route("/users/{user_id}/orders", get(orders::answer))
        .route("/products", get(products::answer_list))
        .route("/products/{product_id}", get(products::answer_one))
}
