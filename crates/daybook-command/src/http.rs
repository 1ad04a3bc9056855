//! Commands and states over HTTP, for every command service. Knows no domain; what it shares with other services is
//! `daybook_service::http`.

mod answer;
mod command;
mod errors;
mod idempotency_key;
mod read;
pub(crate) mod routes;

pub use command::{command_on, command_on_new};
pub use daybook_service::http::{ApiError, Body, Whole, id};
pub use read::show;
pub use routes::guarded;
