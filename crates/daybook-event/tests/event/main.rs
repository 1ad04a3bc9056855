//! Events of a toy's domain, as the derives make them.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed; helpers of tests count as tests"
)]

mod derived;
mod natural_key;
mod rejection;
mod values;
