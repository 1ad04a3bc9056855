#![no_main]

use daybook_projection::any_bytes;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| any_bytes::stored(bytes));
