//! A service that answers queries from a read model, for any domain.
//!
//! ```text
//! request ─ guard ─ asked ─ wait for the token ─ as of ─ read rows ─ render     (the domain's routes)
//!                               serving ←──────── keeper ←── CURRENT ←── builder, or another process
//! ```
//!
//! Pure: [`cursor`], [`parameters`], [`positions`], [`asked`], [`answer`], [`marks`], [`status`], [`times`],
//! [`row_cache`].
//! Rim: [`run`] (one process), [`service`] (all of it but the port), `keeper` (which generation is served, and its follower), `builder` (replays),
//! `router` (routes that every domain has).

mod admin;
pub mod answer;
pub mod api;
pub mod arguments;
pub mod asked;
mod blocking;
mod builder;
pub mod command_line;
pub mod cursor;
mod first_catch_up;
pub mod grounds;
mod guard;
pub mod heavy;
mod keeper;
pub mod limits;
pub mod marks;
pub mod measuring;
mod metrics;
mod own_threads;
mod ownership;
pub mod parameters;
pub mod positions;
pub mod rebuild;
pub mod refusal;
mod request_metrics;
mod router;
pub mod row_cache;
pub mod run;
pub mod service;
pub mod serving;
pub mod settings;
pub mod status;
pub mod times;

pub use run::RunError;
pub use service::{Service, StartError};
pub use settings::Settings;
