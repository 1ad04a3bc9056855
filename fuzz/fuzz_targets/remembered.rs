#![no_main]

use daybook_command::fuzz_checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_checks::remembered(bytes));
