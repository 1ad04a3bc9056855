//! The kernel, on a toy domain: it must need nothing of the shop.

mod toy;

mod commands;
mod directory;
mod headers;
mod idempotency;
mod recover;
mod relay;
mod start;
mod store;
mod tail;
