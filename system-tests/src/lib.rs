//! Drives the real binaries as real processes, on an embedded broker or a real Kafka.
//!
//! A failure here is a failed test, so these helpers panic with what they know.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

pub mod binaries;
pub mod broker;
pub mod injector;
pub mod kafka;
pub mod log;
pub mod mounted;
pub mod power_cut;
pub mod process;
pub mod reader;
pub mod site;
pub mod wait;
