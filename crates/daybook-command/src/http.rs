//! HTTP for every command service: headers, bodies, errors, bounds, health. Knows no domain.

mod answer;
mod body;
mod command;
mod guard;
mod idempotency_key;
pub(crate) mod operations;
pub(crate) mod refusal;
mod request_headers;
mod routes;
mod show;

pub(crate) use guard::not_allowed;
pub use routes::{Route, Routes};
