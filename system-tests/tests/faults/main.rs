//! What a command service does with a disk that loses or changes what it was given, fails, or does not answer.
// Helpers outside of `#[test]` functions fail a test by panicking as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod at_rest;
mod cases;
mod cold_partition;
mod damage;
mod full;
mod grown;
mod hanging;
mod index;
mod journal;
mod journal_full;
mod kafka_away;
mod running;
mod steady;
mod verdict;
mod world;
