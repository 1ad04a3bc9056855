//! No text in a request line makes reading it panic.

use daybook_query::cursor;

use crate::fuzz_checks::{self, SCOPE};
use crate::random::{seeds, try_many};

const CURSORS: &str = "fuzz/seeds/cursor";

#[test]
fn any_text_is_a_cursor_or_refused() {
    try_many(seeds(CURSORS), fuzz_checks::cursor);
}

#[test]
fn there_are_cursors_of_both_sizes_among_the_seeds() {
    let seeds = seeds(CURSORS).into_iter().map(|seed| String::from_utf8(seed).unwrap());
    let seeds: Vec<_> = seeds.collect();
    assert!(seeds.iter().any(|seed| cursor::read::<8>(SCOPE, seed).is_ok()));
    assert!(seeds.iter().any(|seed| cursor::read::<16>(SCOPE, seed).is_ok()));
}
