//! Power cuts: what real processes write is recorded, and images of what a disk may have at random points are opened.
//!
//! `DAYBOOK_POWER_CUTS` is the number of points of each path, 20 if left out, 40 in `.ci/run`; `DAYBOOK_POWER_CUT_SEED` makes other choices.
//! How threads and processes meet is up to the machine: the same seed makes the same choices, and not the same recording.
// Helpers outside of `#[test]` functions fail a test by panicking as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod expected;
mod image;
mod journal;
mod points;
mod recording;
mod replay;
mod services;
