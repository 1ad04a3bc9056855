//! A read model of a bank and of other toys: engine and generations alone, with the embedded broker, and killed as a
//! process.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod broken;
mod broker;
mod catching_up;
mod contradictions;
mod cruel;
mod damaged_builds;
mod domain;
mod engine_stops;
mod follow;
mod generations;
mod log;
mod moved;
mod other_log;
mod parked_replays;
mod parks;
mod read_models;
mod rebuilds;
mod released;
mod replays;
mod resume;
mod server;
mod set_aside;
mod toy;
mod transcript;
mod verified;
mod views;
mod writers;
