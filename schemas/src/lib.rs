//! The shop's events: one enum per topic, newest shapes only; old versions are upcast while reading.

pub mod orders;
pub mod problem_types;
pub mod products;
pub mod users;

use daybook_event::Event;
pub use orders::OrderEvent;
pub use problem_types::PROBLEMS;
pub use products::ProductEvent;
pub use users::UserEvent;

/// All topics of the shop without prefix, in the order of services A, B, C.
pub const TOPICS: [&str; 3] = [users::TOPIC, products::TOPIC, orders::TOPIC];

/// Any event of the shop.
#[derive(Debug, Clone, PartialEq, Eq, Event)]
pub enum ShopEvent {
    User(UserEvent),
    Product(ProductEvent),
    Order(OrderEvent),
}
