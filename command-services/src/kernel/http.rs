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

pub(crate) use body::Body;
pub(crate) use command::{command_on, command_on_new};
pub(crate) use guard::{guarded, not_allowed};
pub(crate) use show::show;
