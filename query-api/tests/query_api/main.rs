//! The shop's queries on a log that a test writes, without a port, then the program itself. What the kernel does with any
//! queries is tested in `crates/daybook-query/tests/`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod endpoints;
mod events;
mod fuzz_checks;
mod hostile_input;
#[allow(dead_code, reason = "the kernel's tests need more of it")]
#[path = "../../../crates/daybook-query/tests/query/http.rs"]
mod http;
#[allow(dead_code, reason = "the kernel's tests need more of it")]
#[path = "../../../crates/daybook-query/tests/query/log.rs"]
mod log;
mod many_connections;
mod pages;
mod program;
mod quarantined;
#[path = "../../../fuzz/random.rs"]
mod random;
mod refused;
mod routes;
mod served;
#[allow(dead_code, reason = "the kernel's tests need more of it")]
#[path = "../../../crates/daybook-query/tests/query/setting.rs"]
mod setting;
