#![no_main]

use command_services::kernel::any_bytes;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| any_bytes::remembered(bytes));
