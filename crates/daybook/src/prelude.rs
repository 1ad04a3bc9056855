//! What a domain's files use all the time: `use daybook::prelude::*;`.

pub use crate::App;
pub use daybook_command::http::Routes;
pub use daybook_command::{Aggregate, UniqueKeys};
pub use daybook_command::{Existence, FactsOf, Followed, Reference, ReferenceUpdate, References};
pub use daybook_event::{Body, Event, Fields, Rejection, natural_key};
pub use daybook_projection::{EventMeta, FoldError, Folded, Parts, Projection, View, ViewEntry};
pub use daybook_query::Queries;
pub use std::process::ExitCode;
pub use uuid::Uuid;
