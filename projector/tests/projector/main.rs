//! The shop's rows, and the projector as a program, from its command line to its exit code, on the embedded broker. What the
//! kernel does with any rows is tested in `crates/daybook-projection/tests/`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "the kernel's tests need more of it")]
#[path = "../../../crates/daybook-projection/tests/projection/broker.rs"]
mod broker;
mod disk_full;
mod domain;
mod fuzz_checks;
mod hostile_input;
#[allow(dead_code, reason = "the kernel's tests need more of it")]
#[path = "../../../crates/daybook-projection/tests/projection/log.rs"]
mod log;
mod orders;
mod program;
mod quarantine_program;
#[path = "../../../fuzz/random.rs"]
mod random;
