//! What an event looks like on the wire, and in which order events come.
//!
//! Everything here is pure: no clock, no randomness, no I/O, no Kafka. It knows CloudEvents, positions, epochs and HTTP's
//! error bodies, and no domain: which events there are is a type that implements [`event_data::EventData`].

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
pub mod token;
