//! The query service of a bank and of other toys: its router on a log that a test writes, without a port.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bounds;
mod compared;
#[allow(dead_code, reason = "the projection's tests need more of it")]
#[path = "../../../daybook-projection/tests/projection/domain.rs"]
mod domain;
mod heavy;
mod http;
mod hung_disk;
mod lifecycle;
mod log;
mod looked_after;
mod lost_files;
mod opening;
mod served;
mod setting;
mod stopped;
mod swaps;
mod tokens;
mod torn;
mod toy;
#[allow(dead_code, reason = "the projection's tests need more of it")]
#[path = "../../../daybook-projection/tests/projection/views.rs"]
mod views;
mod watched;
