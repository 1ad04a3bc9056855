//! The shop's queries.
//!
//! One file per answer: [`ordered_products`] (the join that the whole service is for), `orders`, `products`. What answers
//! about a user share is in `user` and `known_products`.

mod known_products;
pub mod ordered_products;
mod orders;
mod products;
mod user;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;

use crate::kernel::api::Api;
use crate::kernel::asked::Asked;
use known_products::KnownProducts;

/// The shop's route table.
pub fn routes() -> Router<Arc<Api>> {
    let known = Arc::new(KnownProducts::default());
    let products_of_user = {
        let known = known.clone();
        |State(api): State<Arc<Api>>, asked: Asked| ordered_products::answer(api, known, asked)
    };
    let orders_of_user = |State(api): State<Arc<Api>>, asked: Asked| orders::answer(api, known, asked);
    Router::new()
        .route("/users/{user_id}/products", get(products_of_user))
        .route("/users/{user_id}/orders", get(orders_of_user))
        .route("/products", get(products::answer_list))
        .route("/products/{product_id}", get(products::answer_one))
}
