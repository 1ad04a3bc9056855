//! Service A: a user signs up, changes or deletes the account.

mod email;
mod http;
mod rejection;
mod rules;
#[cfg(test)]
mod tests;

use daybook_command::command_line::Defaults;

pub use http::routes;
pub use rejection::UserRejection;
pub use rules::{UserChange, UserCommand, UserState, Users};

/// What the binary is called, and where it is by default.
pub const DEFAULTS: Defaults = Defaults {
    name: "users",
    about: "Daybook's service A: users sign up, change and delete their accounts",
    listen: "127.0.0.1:8081",
    data_dir: "data/users",
};
