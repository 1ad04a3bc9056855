//! Events of service C: a user orders a product, or cancels the order.
//!
//! Version 2 of `placed` added `quantity`; version 1 upcasts to a quantity of 1.

use std::num::NonZeroU32;

use daybook_event::{Event, Fields};
use serde::Deserialize;
use uuid::Uuid;

/// Service C's name, the `source` of its events.
pub const SERVICE: &str = "orders";
/// Its topic, without prefix.
pub const TOPIC: &str = "orders.events";

/// What happened to an order. Its key is the user, so that one user's orders are in order.
#[derive(Debug, Clone, PartialEq, Eq, Event)]
#[event(service = SERVICE, topic = TOPIC, prefix = "shop.order.")]
pub enum OrderEvent {
    /// The user ordered the product.
    #[event("placed.v2")]
    #[upcast(from = "placed.v1", with = of_one)]
    Placed(OrderPlaced),
    /// The order no longer counts.
    #[event("cancelled.v1")]
    Cancelled(OrderCancelled),
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Fields)]
pub struct OrderPlaced {
    pub order_id: Uuid,
    #[key]
    pub user_id: Uuid,
    pub product_id: Uuid,
    /// How many, from 1.
    pub quantity: NonZeroU32,
}

/// The order that no longer counts.
#[derive(Debug, Clone, PartialEq, Eq, Fields)]
pub struct OrderCancelled {
    pub order_id: Uuid,
    #[key]
    pub user_id: Uuid,
    pub product_id: Uuid,
}

/// An order before orders had quantities.
#[derive(Deserialize)]
struct OrderPlacedV1 {
    order_id: Uuid,
    user_id: Uuid,
    product_id: Uuid,
}

fn of_one(old: OrderPlacedV1) -> OrderPlaced {
    let OrderPlacedV1 { order_id, user_id, product_id } = old;
    OrderPlaced { order_id, user_id, product_id, quantity: NonZeroU32::MIN }
}

impl OrderEvent {
    pub fn order_id(&self) -> Uuid {
        match self {
            Self::Placed(placed) => placed.order_id,
            Self::Cancelled(cancelled) => cancelled.order_id,
        }
    }
}
