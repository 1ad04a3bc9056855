//! Service C: a user orders a product, or cancels the order. Knows users and products from their topics only.

pub(crate) mod http;
mod known;
mod rejection;
mod rules;
#[cfg(test)]
mod tests;

use tokio::net::TcpListener;

use daybook_command::command_line::Defaults;
use daybook_command::{RunError, Settings};

pub use rejection::OrderRejection;
pub use rules::{OrderCommand, OrderFacts, OrderState, Orders, PlaceOrder};

/// What the binary is called, and where it is by default.
pub const DEFAULTS: Defaults = Defaults {
    name: "orders",
    about: "Daybook's service C: users order products, and cancel their orders",
    listen: "127.0.0.1:8083",
    data_dir: "data/orders",
};

/// Runs the service on a bound listener until `shutdown` completes.
///
/// # Errors
/// [`RunError`] says why it did not start or did not end as asked.
pub async fn run(
    settings: Settings,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    daybook_command::run::<Orders>(settings, listener, shutdown, http::router).await
}
