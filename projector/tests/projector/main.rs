//! The projector from outside: engine and generations alone, then with the embedded broker, then as a process.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod broken;
mod broker;
mod catching_up;
mod contradictions;
mod cruel;
mod damaged_builds;
mod disk_full;
mod engine_stops;
mod follow;
mod fuzz_checks;
mod generations;
mod hostile_input;
mod log;
mod moved;
mod orders;
mod other_log;
mod parked_replays;
mod parks;
mod program;
mod quarantine_program;
#[path = "../../../fuzz/random.rs"]
mod random;
mod read_models;
mod rebuilds;
mod released;
mod replays;
mod resume;
mod server;
mod set_aside;
mod toy;
mod verified;
mod writers;
