//! The contract, held by what is published: schemas and samples in `events/`, `samples/` and `samples-binary/`.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed; helpers of tests count as tests"
)]

mod agreement;
mod binary_mode;
mod canonical;
mod canonical_edges;
mod compatibility;
mod compatibility_check;
mod data_errors;
mod doubt;
mod envelope_errors;
mod files;
mod fuzz_checks;
mod hostile_input;
mod other_library;
mod place;
mod problem;
mod published;
#[path = "../../../fuzz/random.rs"]
mod random;
mod random_events;
mod round_trip;
mod samples;
mod sequence;
mod token;
mod upcasting;
mod value_errors;
mod variants;
mod writers;
