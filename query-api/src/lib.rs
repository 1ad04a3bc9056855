//! Service D: answers queries from its own read model, which it follows from the log in the same process.
//!
//! Two halves that do not mix:
//!
//! - the [`kernel`] keeps a generation of the read model open and followed, swaps in new ones, waits for tokens, and
//!   says how far it is; it knows nothing of users, products or orders;
//! - the [`shop`] is the shop's queries: one file per answer, and the route table.

use std::future::Future;

use tokio::net::TcpListener;

pub mod command_line;
pub mod kernel;
pub mod shop;

pub use kernel::run::RunError;
pub use kernel::service::{Service, StartError};
pub use kernel::settings::Settings;

/// Runs the shop's query service on a bound listener until `shutdown` ends. Requests at work are then answered, the
/// follower is stopped and the store closed.
///
/// # Errors
/// [`RunError`] if it cannot start, or if there is nothing to serve and building it fails.
pub async fn run(
    settings: Settings,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    kernel::run::run(settings, projector::shop::projection(), shop::routes(), listener, shutdown).await
}

/// Starts the shop's query service without a port; its router answers. `holder` says who this is, to others who find
/// the read model in use.
///
/// # Errors
/// [`StartError`].
pub async fn start(settings: &Settings, holder: &str) -> Result<Service, StartError> {
    Service::start(settings, projector::shop::projection(), shop::routes(), holder).await
}
