//! The query service from outside: its router on a log that a test writes, without a port, then the program itself.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bounds;
mod compared;
mod endpoints;
mod events;
mod fuzz_checks;
mod heavy;
mod hostile_input;
mod http;
mod hung_disk;
mod lifecycle;
mod log;
mod looked_after;
mod lost_files;
mod many_connections;
mod opening;
mod pages;
mod program;
mod quarantined;
#[path = "../../../fuzz/random.rs"]
mod random;
mod refused;
mod routes;
mod setting;
mod stopped;
mod swaps;
mod tokens;
mod torn;
mod toy;
mod watched;
