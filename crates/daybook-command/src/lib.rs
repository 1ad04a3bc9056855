//! What every command service has: store, committer, outbox, relay, follower, HTTP. Knows no users, products or orders.
//!
//! A command's way: `http` reads it, `committer` decides it in a `group` on the `store` and appends state, unique keys,
//! outcome under its key and sealed events to the journal as one synced record, applies the state to the store, `http` answers.
//! From the journal `relay` brings the events to Kafka.
//! One thread writes; everything else reads or waits. A domain is an implementation of [`Aggregate`] and a route table.

mod aggregate;
#[cfg(any(test, fuzzing))]
pub mod any_bytes;
mod before;
mod command;
pub mod command_line;
mod committer;
mod directory;
mod fields;
mod followed;
mod follower;
mod group;
mod health;
pub mod http;
mod idempotency;
mod incoming;
mod index;
mod kept;
mod keys;
mod log_watch;
mod metrics;
mod positions;
mod reconcile;
mod recover;
mod references;
mod relay;
mod rows;
mod run;
mod running;
mod seal;
mod service;
mod settings;
mod start;
mod writer;

pub use aggregate::{Aggregate, UniqueKeys};
pub use directory::DirectoryError;
pub use incoming::{At, IncomingError, IncomingFault};
pub use reconcile::TailError;
pub use recover::{RecoverError, TakeError};
pub use references::{
    Existence, FactsOf, Followed, REFERENCE_BYTES_MAX, Reference, ReferenceError, ReferenceUpdate, References,
};
pub use run::RunError;
pub use run::run;
pub use service::Service;
pub use settings::{AnswerAfter, Limits, Settings};
pub use start::StartError;
pub use writer::{ClaimError, InstanceError, OtherInstance, Superseded, Unsaved};

#[cfg(test)]
pub(crate) use {run::Starting, running::Running, seal::SystemAmbient};

#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod testing;
#[cfg(test)]
mod tests;
