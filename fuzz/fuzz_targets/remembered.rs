#![no_main]

use daybook_command::any_bytes;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| any_bytes::remembered(bytes));
