//! What waits of the topics that are followed, as operators see it.

use serde::Serialize;
use uuid::Uuid;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct QuarantineShown {
    pub(crate) keys: u64,
    pub(crate) events: u64,
    pub(crate) first: Vec<ParkedShown>,
}

/// One aggregate of which events wait, and the first of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ParkedShown {
    pub(crate) topic: &'static str,
    pub(crate) key: Uuid,
    pub(crate) partition: i32,
    pub(crate) position: u64,
    pub(crate) event_id: Uuid,
    pub(crate) reason: String,
    pub(crate) events: u64,
}
