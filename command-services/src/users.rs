//! Service A: a user signs up, changes or deletes the account.

mod email;
pub(crate) mod http;
mod rejection;
mod rules;
#[cfg(test)]
mod tests;

use tokio::net::TcpListener;

use daybook_command::command_line::Defaults;
use daybook_command::{RunError, Settings};

pub use rejection::UserRejection;
pub use rules::{UserChange, UserCommand, UserState, Users};

/// What the binary is called, and where it is by default.
pub const DEFAULTS: Defaults = Defaults {
    name: "users",
    about: "Daybook's service A: users sign up, change and delete their accounts",
    listen: "127.0.0.1:8081",
    data_dir: "data/users",
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
    daybook_command::run::<Users>(settings, listener, shutdown, http::router).await
}
