//! The contract, held by what is published: schemas and samples in `events/`, `samples/` and `samples-binary/`.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed; helpers of tests count as tests"
)]

mod agreement;
mod canonical;
mod canonical_edges;
mod claim;
mod compatibility;
mod compatibility_check;
mod data_errors;
mod files;
mod fuzz_checks;
mod hostile_input;
mod other_library;
mod published;
#[path = "../../../fuzz/random.rs"]
mod random;
mod random_events;
mod round_trip;
mod samples;
mod upcasting;
mod variants;
