//! Service C: a user orders a product, or cancels the order. Knows users and products from their topics only.

pub(crate) mod http;
mod known;
mod rejection;
mod rules;
#[cfg(test)]
mod tests;

use tokio::net::TcpListener;

use crate::kernel::command_line::Defaults;
use crate::kernel::{self, RunError, Settings};

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
    kernel::run::<Orders>(settings, listener, shutdown, http::router).await
}
