#![no_main]
#![allow(clippy::unwrap_used, reason = "a panic is what is looked for")]

#[path = "../../schemas/tests/schemas/any_bytes.rs"]
#[allow(dead_code, reason = "other targets and tests ask the rest")]
mod any_bytes;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| any_bytes::token(bytes));
