//! The kernel, on a toy domain: it must need nothing of the shop.

mod toy;

mod bodies;
mod commands;
mod directory;
mod durability;
mod headers;
mod idempotency;
mod outbox;
mod positions;
mod quarantine;
mod recover;
mod relay;
mod relay_stands_still;
mod start;
mod store;
mod tail;
mod take_over;
mod writers;
