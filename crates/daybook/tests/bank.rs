//! The bank's own tests, `examples/tests/mod.rs`: an example has none by itself, so it is a module here.

#[path = "../examples/bank.rs"]
#[allow(dead_code, reason = "its main is not called")]
mod bank;
