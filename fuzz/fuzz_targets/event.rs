#![no_main]
#![allow(clippy::unwrap_used, reason = "a panic is what is looked for")]

#[path = "../../schemas/tests/schemas/fuzz_checks.rs"]
#[allow(dead_code, reason = "other targets and tests ask the rest")]
mod fuzz_checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_checks::event(bytes));
