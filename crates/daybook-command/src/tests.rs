//! The kernel, on a toy domain: it must need nothing of the shop.

pub(crate) mod toy;

#[path = "../../../fuzz/random.rs"]
mod random;

mod away;
mod bodies;
mod commands;
mod digested;
mod directory;
mod fingerprint;
mod headers;
mod idempotency;
mod index;
mod integrity;
mod journal_damage;
mod kept;
mod links;
mod positions;
mod quarantine;
mod readiness;
mod recover;
mod references;
mod relay;
mod relay_stands_still;
mod remembered;
mod reopened;
mod routes;
mod rows;
mod start;
mod tail;
mod take_over;
mod unique_keys;
mod writers;
