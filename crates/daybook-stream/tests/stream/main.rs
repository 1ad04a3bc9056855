//! The one reading of checked events, against partitions in memory.
// Helpers outside of `#[test]` functions fail a test by panicking as well.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod admitted;
mod partition;
mod prefixes;
