//! What a domain's files use all the time: `use daybook::prelude::*;`.

pub use daybook_command::http::Routes;
pub use daybook_command::{Aggregate, UniqueKeys};
pub use daybook_event::{Event, Fields, Rejection, natural_key};
pub use daybook_projection::projection::ViewEntry;
pub use daybook_projection::{EventMeta, FoldError, Parts, Projection, View};
pub use daybook_query::Queries;
pub use std::process::ExitCode;
pub use uuid::Uuid;
