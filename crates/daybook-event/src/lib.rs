//! What an event looks like on the wire, and in which order events come.
//!
//! Everything here is pure: no clock, no randomness, no I/O, no Kafka. It knows CloudEvents, positions, epochs and HTTP's
//! error bodies, and no domain: which events there are is a type that implements [`event_data::EventData`].

pub mod canonical;
pub mod claim;
#[doc(hidden)]
pub mod derived;
pub mod doubt;
pub mod envelope;
pub mod event_data;
mod explain;
pub mod headers;
mod natural_key;
pub mod place;
pub mod problem;
pub mod sequence;
pub mod token;

/// How it is written the [trait](trait@Event) says.
pub use daybook_macros::Event;
/// How it is written the [trait](trait@Rejection) says.
pub use daybook_macros::Rejection;
pub use daybook_macros::{Body, Fields};
pub use event_data::{Event, EventData, Keyed, Topic};
pub use natural_key::natural_key;
pub use problem::Rejection;
