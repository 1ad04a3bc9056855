//! HTTP for every command service: headers, bodies, errors, bounds, health. Knows no domain.

mod answer;
mod body;
mod command;
mod guard;
mod idempotency_key;
pub(crate) mod operations;
pub(crate) mod refusal;
mod request_headers;
mod show;

pub use body::Body;
pub use command::{command_on, command_on_new};
pub use guard::guarded;
pub(crate) use guard::not_allowed;
pub use refusal::Refusal;
pub use show::show;
