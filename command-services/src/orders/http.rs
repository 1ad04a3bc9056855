//! Service C over HTTP: its routes, and the bodies that they take.

use daybook_command::http::{Routes, id};
use serde::Deserialize;
use uuid::Uuid;

use super::rules::{OrderCommand, Orders, PlaceOrder};

#[must_use]
pub fn routes() -> Routes<Orders> {
    Routes::of("/orders", "order_id")
        .create(|order_id, Place { user_id, product_id, quantity }| {
            OrderCommand::Place(PlaceOrder { order_id, user_id, product_id, quantity })
        })
        .delete(OrderCommand::Cancel)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    #[serde(deserialize_with = "id")]
    user_id: Uuid,
    #[serde(deserialize_with = "id")]
    product_id: Uuid,
    #[serde(default = "one")]
    quantity: i64,
}

fn one() -> i64 {
    1
}
