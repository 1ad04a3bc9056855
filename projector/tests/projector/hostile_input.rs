//! No bytes of a row make reading it panic.

use crate::fuzz_checks;
use crate::random::{seeds, try_many};

const ROWS: &str = "fuzz/seeds/row";

#[test]
fn any_bytes_are_a_row_or_refused() {
    try_many(seeds(ROWS), fuzz_checks::row);
}

#[test]
fn every_seed_is_of_a_view() {
    assert!(seeds(ROWS).iter().all(|seed| fuzz_checks::is_of_a_view(seed)));
}
