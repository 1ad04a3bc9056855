//! The journal on a real file system: what is appended is there, in order and once, whatever became of the last write.
// Helpers outside of `#[test]` functions fail a test by panicking as well.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod appending;
mod begun_again;
mod behind_log;
mod damage;
mod forgetting;
mod format;
mod full;
mod power_cut;
mod reading;
mod retention;
mod support;
