//! Event-sourced services on Kafka: a domain is a few pure functions, and everything around them is here.
//!
//! A *command service* decides commands into events ([`Aggregate`]) and brings them to Kafka, each once and in order. A
//! *projection* folds events into rows ([`View`]), and *queries* answer from them. `ARCHITECTURE.md` of the repository shows
//! how; this crate is what a program depends on.

mod app;
mod place;
pub mod prelude;
mod program;
mod running;
#[cfg(feature = "testing")]
pub mod testing;

#[doc(no_inline)]
pub use daybook_command as command;
#[doc(no_inline)]
pub use daybook_event as event;
#[doc(no_inline)]
pub use daybook_kafka as kafka;
#[doc(no_inline)]
pub use daybook_projection as projection;
#[doc(no_inline)]
pub use daybook_query as query;
#[doc(no_inline)]
pub use daybook_service as service;

pub use app::App;
pub use daybook_command::Aggregate;
pub use daybook_projection::View;
pub use place::{AppSettings, Place, PlaceFlags, Sandbox, SandboxError, Site};
pub use running::{AppError, Running};
