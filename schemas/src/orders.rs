//! Events of service C: a user orders a product, or cancels the order.
//!
//! Version 2 of `placed` added `quantity`; version 1 upcasts to a quantity of 1.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use daybook_event::canonical::Cursor;
use daybook_event::event_data::{DataError, EventData, read_fields, unknown_type};

/// Service C's name, the `source` of its events.
pub const SERVICE: &str = "orders";
/// Its topic, without prefix.
pub const TOPIC: &str = "orders.events";
/// Start of all its types' names.
pub const TYPE_PREFIX: &str = "shop.order.";

const PLACED_V1: &str = "shop.order.placed.v1";
const PLACED: &str = "shop.order.placed.v2";
const CANCELLED: &str = "shop.order.cancelled.v1";
/// The newest version of every type.
pub const NEWEST: [&str; 2] = [PLACED, CANCELLED];

/// What happened to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderEvent {
    /// The user ordered the product.
    Placed(OrderPlaced),
    /// The order no longer counts.
    Cancelled(OrderCancelled),
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderPlaced {
    /// Id of the order.
    pub order_id: Uuid,
    /// Who ordered.
    pub user_id: Uuid,
    /// What was ordered.
    pub product_id: Uuid,
    /// How many, from 1.
    pub quantity: NonZeroU32,
}

/// The order that no longer counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCancelled {
    /// Id of the order.
    pub order_id: Uuid,
    /// Who had ordered.
    pub user_id: Uuid,
    /// What had been ordered.
    pub product_id: Uuid,
}

/// An order before orders had quantities.
#[derive(Deserialize)]
struct OrderPlacedV1 {
    order_id: Uuid,
    user_id: Uuid,
    product_id: Uuid,
}

impl From<OrderPlacedV1> for OrderPlaced {
    fn from(old: OrderPlacedV1) -> Self {
        Self {
            order_id: old.order_id,
            user_id: old.user_id,
            product_id: old.product_id,
            quantity: NonZeroU32::MIN,
        }
    }
}

impl OrderEvent {
    /// The order this is about.
    #[must_use]
    pub fn order_id(&self) -> Uuid {
        match self {
            Self::Placed(placed) => placed.order_id,
            Self::Cancelled(cancelled) => cancelled.order_id,
        }
    }

    /// The user whose order it is.
    #[must_use]
    pub fn user_id(&self) -> Uuid {
        match self {
            Self::Placed(placed) => placed.user_id,
            Self::Cancelled(cancelled) => cancelled.user_id,
        }
    }
}

impl EventData for OrderEvent {
    fn event_type(&self) -> &'static str {
        match self {
            Self::Placed(_) => PLACED,
            Self::Cancelled(_) => CANCELLED,
        }
    }

    fn to_data(&self) -> serde_json::Result<Box<RawValue>> {
        match self {
            Self::Placed(placed) => to_raw_value(placed),
            Self::Cancelled(cancelled) => to_raw_value(cancelled),
        }
    }

    fn from_data(event_type: &str, data: &RawValue) -> Result<Self, DataError> {
        match event_type {
            PLACED_V1 => read_fields::<OrderPlacedV1>(event_type, data).map(|old| Self::Placed(old.into())),
            PLACED => read_fields(event_type, data).map(Self::Placed),
            CANCELLED => read_fields(event_type, data).map(Self::Cancelled),
            _ => Err(unknown_type(event_type, &NEWEST)),
        }
    }

    #[inline]
    fn read_canonical(event_type: &str, data: &[u8]) -> Option<Self> {
        let mut at = Cursor::new(data);
        let order_id = at.uuid(br#"{"order_id":""#)?;
        let user_id = at.uuid(br#"","user_id":""#)?;
        let product_id = at.uuid(br#"","product_id":""#)?;
        match event_type {
            PLACED => {
                let quantity = u32::try_from(at.number(br#"","quantity":"#)?).ok()?;
                let quantity = NonZeroU32::new(quantity)?;
                at.end(b"}")?;
                Some(Self::Placed(OrderPlaced { order_id, user_id, product_id, quantity }))
            }
            CANCELLED => {
                at.end(br#""}"#)?;
                Some(Self::Cancelled(OrderCancelled { order_id, user_id, product_id }))
            }
            _ => None,
        }
    }
}
