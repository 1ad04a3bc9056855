//! Service C: a user orders a product, or cancels the order. Knows users and products from their topics only.

mod http;
mod references;
mod rejection;
mod rules;
#[cfg(test)]
mod tests;

use daybook_command::command_line::Defaults;

pub use http::routes;
pub use references::{Product, User};
pub use rejection::OrderRejection;
pub use rules::{OrderCommand, OrderFacts, OrderState, Orders, PlaceOrder};

/// What the binary is called, and where it is by default.
pub const DEFAULTS: Defaults = Defaults {
    name: "orders",
    about: "Daybook's service C: users order products, and cancel their orders",
    listen: "127.0.0.1:8083",
    data_dir: "data/orders",
};
