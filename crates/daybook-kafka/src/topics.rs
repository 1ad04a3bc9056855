//! Topics: created as Daybook needs them, checked before anything is written, inspected.
//!
//! A topic that drops events cannot be the truth, so [`ensure`] refuses one whose settings would.

mod ensure;
mod error;
mod inspector;
mod records;
mod watch;

use std::time::Duration;

pub use ensure::ensure;
pub use error::TopicError;
pub use inspector::{Held, Inspector};
pub use records::{OwnedRecord, records_at};
pub use watch::TopicWatch;

use crate::{Kafka, LogError};
pub(crate) use inspector::ANSWER_TIMEOUT;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Exactly this many, also of a topic that exists: keys would move otherwise.
    pub partitions: i32,
    /// Copies; an existing topic keeps the number it has.
    pub replication_factor: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// The first offset that is still there.
    pub low: i64,
    /// The end offset: one past the last record.
    pub high: i64,
}

/// Waits until a broker answers. Returns the id of its cluster; none, as empty text, of the mock cluster, which has another
/// each time.
/// Errors: [`LogError::Unreachable`] after `deadline`, naming the brokers and the last error.
pub fn wait_reachable(kafka: &Kafka, deadline: Duration) -> Result<String, LogError> {
    wait_reachable_until(kafka, deadline, || false)
}

/// As [`wait_reachable`], and at most half a second longer than until `is_over`.
/// Errors: As [`wait_reachable`], also if it is over.
pub fn wait_reachable_until(
    kafka: &Kafka,
    deadline: Duration,
    is_over: impl Fn() -> bool,
) -> Result<String, LogError> {
    Inspector::open(kafka)?.wait_reachable(deadline, is_over)
}

/// The number of partitions; none if there is no such topic.
/// Errors: [`TopicError::Log`] if no broker answers, [`TopicError::Inspect`].
pub fn partition_count(kafka: &Kafka, topic: &str) -> Result<Option<i32>, TopicError> {
    Inspector::open(kafka)?.partition_count(topic, ANSWER_TIMEOUT)
}

/// What several partitions hold, in the order asked for, over one connection; those that no broker answers for at present
/// are [`TopicError::PartitionAway`]. Each leader may take so long; none is asked any more once `is_over` says so.
/// Errors: [`TopicError::Missing`]; [`TopicError::Log`] if no broker answers, or a topic has no such partition, or
/// [`LogError::GivenUp`]; [`TopicError::Inspect`].
pub fn held_until<T: AsRef<str>>(
    kafka: &Kafka,
    partitions: &[(T, i32)],
    patience: Duration,
    is_over: &dyn Fn() -> bool,
) -> Result<Vec<Held>, TopicError> {
    Inspector::open(kafka)?.held_until(partitions, patience, is_over)
}

/// What several partitions hold, in the order asked for, over one connection: all of them, or it is an error.
/// Errors: As [`held_until`], and [`TopicError::PartitionAway`], for the first partition that fails.
pub fn all_watermarks<T: AsRef<str>>(
    kafka: &Kafka,
    partitions: &[(T, i32)],
) -> Result<Vec<Watermarks>, TopicError> {
    Inspector::open(kafka)?.held(partitions, ANSWER_TIMEOUT)?.into_iter().collect()
}
