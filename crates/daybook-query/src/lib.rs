//! A service that answers queries from a read model, for any domain.
//!
//! ```text
//! request ─ guard ─ wait for the token ─ as of ─ read rows ─ render     (`responder`, and the domain's routes)
//!                               serving ←─── generations ←── CURRENT ←── builder, or another process
//! ```
//!
//! Pure: [`cursor`], [`request`], [`status`], [`times`], [`row_cache`].
//! Rim: [`run`] (one process), [`service`] (all of it but the port), `generations` (which generation is served, and its
//! follower), `builder` (replays), `router` (routes that every domain has).

mod admin;
pub mod api;
pub mod as_of;
mod builder;
pub mod command_line;
pub mod cursor;
pub mod errors;
mod first_catch_up;
mod generations;
pub mod heavy;
pub mod limits;
pub mod measuring;
mod metrics;
mod ownership;
mod queries;
pub mod request;
pub mod responder;
mod router;
pub mod row_cache;
pub mod run;
pub mod service;
pub mod serving;
pub mod settings;
pub mod status;
pub mod times;

pub use queries::Queries;
pub use run::RunError;
pub use service::{Service, StartError};
pub use settings::Settings;
