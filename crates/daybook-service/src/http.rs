//! The HTTP rim of every service: what requests may carry, how answers and errors look, and what surrounds the routes.
//!
//! It knows no commands, no queries and no domain. The connections below it are `connections`; what hyper itself refuses
//! (a head that is too long, or is none) never gets here, and is a bare status on a connection that is closed.

mod answer;
mod body;
mod entity_tags;
mod guard;
mod host;
mod operations;
pub mod problem_types;
mod request;
mod request_metrics;

pub use answer::ApiError;
pub use answer::{json, state, tag};
pub use body::{BODY_BYTES_MAX, Body};
pub use entity_tags::{Conditions, EntityTag, EntityTags, Judged};
pub use guard::{GuardLimits, guarded};
pub(crate) use host::refused_host;
pub use operations::{figures, operations, readiness};
pub use request::{After, joined, one};
pub use request::{id, parse_id, path_id};
pub use request::{no_parameters, parameters};
pub use request_metrics::{Count, Counted, RequestMetrics};

const SHOWN_CHARS_MAX: usize = 100;

/// Whatever the client sent, short enough to be shown back.
pub fn shortened(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}
