//! Events of a toy's domain as the derives make them, their envelopes, and what a reader knows of a log.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed; helpers of tests count as tests"
)]

mod binary_mode;
mod derived;
mod doubt;
mod envelope_errors;
mod natural_key;
mod place;
mod problem;
mod rejection;
mod sample;
mod sequence;
mod token;
mod value_errors;
mod values;
mod writers;
