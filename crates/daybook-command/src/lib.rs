//! What every command service has: store, committer, outbox, fencing, follower, HTTP. Knows no users, products or orders.
//!
//! A command's way: `http` reads it, `commit` decides it in a batch on the `store` and appends state, unique keys, outcome
//! under its key and sealed events to the journal as one synced record, applies the state to the store, `http` answers. From
//! the journal the relay of `outbox` brings the events to Kafka, as long as `fencing` finds nobody else in force.
//! One thread writes; everything else reads or waits. A domain is an implementation of [`Aggregate`] and a route table.

mod aggregate;
mod command;
pub mod command_line;
mod commit;
mod fencing;
mod follow;
#[cfg(any(test, fuzzing))]
pub mod fuzz_checks;
mod health;
pub mod http;
mod incoming;
mod log_watch;
mod metrics;
mod outbox;
mod reconcile;
mod recover;
mod references;
mod run;
mod running;
mod service;
mod settings;
mod start;
mod store;

pub use aggregate::{Aggregate, UniqueKeys};
pub use fencing::{ClaimError, Fenced, UnpublishedEvents};
pub use incoming::{At, IncomingError, IncomingFault};
pub use recover::RecoverError;
pub use references::{
    Existence, FactsOf, Followed, REFERENCE_BYTES_MAX, Reference, ReferenceError, ReferenceUpdate, References,
};
pub use run::RunError;
pub use run::run;
pub use service::Service;
pub use settings::{AnswerAfter, Limits, Settings};
pub use start::StartError;
pub use store::directory::DirectoryError;

#[cfg(test)]
pub(crate) use {commit::seal::SystemAmbient, run::StartProgress, running::Running};

#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod testing;
#[cfg(test)]
mod tests;
