//! Commands and states over HTTP, for every command service. Knows no domain; what it shares with other services is
//! `daybook_service::http`.

mod answer;
mod command;
mod errors;
mod guarded;
mod idempotency_key;
mod read;
mod routes;

pub use daybook_service::http::id;
pub(crate) use guarded::problems;
pub use routes::{Route, Routes};
