//! The whole shop in one process: services A, B, C and D, each with its own directory, on any broker.
//!
//! Nothing here is a shortcut between services: they are started as their own binaries start them, and meet only in
//! Kafka. The binary `daybook`, the import example, benchmarks and system tests start the shop through this library.

pub mod client;
pub mod shop;
