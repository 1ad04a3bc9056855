//! Service B: a product is created, changed, discontinued.

pub(crate) mod http;
mod rejection;
mod rules;
#[cfg(test)]
mod tests;

use tokio::net::TcpListener;

use daybook_command::command_line::Defaults;
use daybook_command::{RunError, Settings};

pub use rejection::ProductRejection;
pub use rules::{ProductChange, ProductCommand, ProductState, Products};

/// What the binary is called, and where it is by default.
pub const DEFAULTS: Defaults = Defaults {
    name: "products",
    about: "Daybook's service B: products are created, changed and discontinued",
    listen: "127.0.0.1:8082",
    data_dir: "data/products",
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
    daybook_command::run::<Products>(settings, listener, shutdown, http::router).await
}
