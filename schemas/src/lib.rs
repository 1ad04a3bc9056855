//! The shop's events: one enum per topic, newest shapes only; old versions are upcast while reading.

pub mod orders;
pub mod problem_types;
pub mod products;
pub mod users;

use serde_json::value::RawValue;
use uuid::Uuid;

use daybook_event::event_data::{DataError, EventData, unknown_type};
pub use orders::OrderEvent;
pub use problem_types::PROBLEMS;
pub use products::ProductEvent;
pub use users::UserEvent;

/// All topics of the shop without prefix, in the order of services A, B, C.
pub const TOPICS: [&str; 3] = [users::TOPIC, products::TOPIC, orders::TOPIC];

/// Any event of the shop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShopEvent {
    /// Of service A.
    User(UserEvent),
    /// Of service B.
    Product(ProductEvent),
    /// Of service C.
    Order(OrderEvent),
}

impl ShopEvent {
    /// The record key: user id for users and orders, product id for products.
    #[must_use]
    pub fn key(&self) -> Uuid {
        match self {
            Self::User(event) => event.user_id(),
            Self::Product(event) => event.product_id(),
            Self::Order(event) => event.user_id(),
        }
    }
}

impl EventData for ShopEvent {
    fn event_type(&self) -> &'static str {
        match self {
            Self::User(event) => event.event_type(),
            Self::Product(event) => event.event_type(),
            Self::Order(event) => event.event_type(),
        }
    }

    fn to_data(&self) -> serde_json::Result<Box<RawValue>> {
        match self {
            Self::User(event) => event.to_data(),
            Self::Product(event) => event.to_data(),
            Self::Order(event) => event.to_data(),
        }
    }

    fn from_data(event_type: &str, data: &RawValue) -> Result<Self, DataError> {
        let family = |prefix: &str| event_type.starts_with(prefix);
        match () {
            () if family(users::TYPE_PREFIX) => UserEvent::from_data(event_type, data).map(Self::User),
            () if family(products::TYPE_PREFIX) => {
                ProductEvent::from_data(event_type, data).map(Self::Product)
            }
            () if family(orders::TYPE_PREFIX) => OrderEvent::from_data(event_type, data).map(Self::Order),
            () => Err(unknown_type(event_type, &[])),
        }
    }

    fn read_canonical(event_type: &str, data: &[u8]) -> Option<Self> {
        let family = |prefix: &str| event_type.starts_with(prefix);
        match () {
            () if family(orders::TYPE_PREFIX) => {
                OrderEvent::read_canonical(event_type, data).map(Self::Order)
            }
            () if family(users::TYPE_PREFIX) => UserEvent::read_canonical(event_type, data).map(Self::User),
            () if family(products::TYPE_PREFIX) => {
                ProductEvent::read_canonical(event_type, data).map(Self::Product)
            }
            () => None,
        }
    }
}
