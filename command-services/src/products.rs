//! Service B: a product is created, changed, discontinued.

mod http;
mod rejection;
mod rules;
#[cfg(test)]
mod tests;

use daybook_command::command_line::Defaults;

pub use http::routes;
pub use rejection::ProductRejection;
pub use rules::{ProductChange, ProductCommand, ProductState, Products};

/// What the binary is called, and where it is by default.
pub const DEFAULTS: Defaults = Defaults {
    name: "products",
    about: "Daybook's service B: products are created, changed and discontinued",
    listen: "127.0.0.1:8082",
    data_dir: "data/products",
};
