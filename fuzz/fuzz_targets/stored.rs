#![no_main]

use daybook_projection::fuzz_checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_checks::stored(bytes));
