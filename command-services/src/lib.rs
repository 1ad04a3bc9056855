//! The write side of Daybook: commands in, events out.
//!
//! - [`kernel`]: what every command service has, for any domain;
//! - [`shop`]: services A (users), B (products) and C (orders), a few pure functions and a route table each.

pub mod kernel;
pub mod shop;
#[cfg(test)]
mod testing;

pub use kernel::{AnswerAfter, Limits, RunError, Settings};
