//! The contract between Daybook's services: what an event looks like on the wire and what it means.
//!
//! Everything here is pure: no clock, no randomness, no I/O, no Kafka. Two halves that do not mix:
//!
//! - the kernel ([`envelope`], [`event_data`], [`canonical`], [`claim`], [`sequence`], [`place`], [`doubt`], [`token`], [`problem`], [`headers`]) knows
//!   CloudEvents, positions and HTTP's error bodies, and nothing of users, products or orders;
//! - the domain ([`shop`]) knows the shop's event types in all their versions.

pub mod canonical;
pub mod claim;
pub mod doubt;
pub mod envelope;
pub mod event_data;
mod explain;
pub mod headers;
pub mod place;
pub mod problem;
pub mod sequence;
pub mod shop;
pub mod token;
