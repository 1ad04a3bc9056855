//! No bytes of a row make reading it panic.

use crate::any_bytes;
use crate::random::{seeds, try_many};

const ROWS: &str = "fuzz/seeds/row";

#[test]
fn any_bytes_are_a_row_or_refused() {
    try_many(seeds(ROWS), any_bytes::row);
}

#[test]
fn every_seed_is_of_a_view() {
    assert!(seeds(ROWS).iter().all(|seed| any_bytes::is_of_a_view(seed)));
}
