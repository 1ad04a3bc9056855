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
pub use inspector::Held;
pub use inspector::Inspector;
pub use records::{OwnedRecord, records_at, tail_record};
pub use watch::TopicWatch;

use crate::{Kafka, LogError};
use inspector::ANSWER_TIMEOUT;

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

/// What several partitions hold, in the order asked for, over one connection; those that nobody answers for at present are
/// [`TopicError::PartitionAway`].
/// Errors: [`TopicError::Missing`]; [`TopicError::Log`] if no broker answers, or a topic has no such partition;
/// [`TopicError::Inspect`].
pub fn held<T: AsRef<str>>(kafka: &Kafka, partitions: &[(T, i32)]) -> Result<Vec<Held>, TopicError> {
    held_until(kafka, partitions, ANSWER_TIMEOUT, &|| false)
}

/// The same, where each leader may take so long; none is asked any more once `is_over` says so.
/// Errors: As [`held`]; [`LogError::GivenUp`].
pub fn held_until<T: AsRef<str>>(
    kafka: &Kafka,
    partitions: &[(T, i32)],
    patience: Duration,
    is_over: &dyn Fn() -> bool,
) -> Result<Vec<Held>, TopicError> {
    Inspector::open(kafka)?.held_until(partitions, patience, is_over)
}

/// What one partition holds.
/// Errors: As [`held`], and [`TopicError::PartitionAway`].
pub fn watermarks(kafka: &Kafka, topic: &str, partition: i32) -> Result<Watermarks, TopicError> {
    let mut held = held(kafka, &[(topic, partition)])?;
    held.pop().unwrap_or_else(|| Err(TopicError::Missing { topic: kafka.topic_name(topic) }))
}

/// What several partitions hold, in the order asked for, over one connection: all of them, or it is an error.
/// Errors: As [`watermarks`], for the first partition that fails.
pub fn all_watermarks<T: AsRef<str>>(
    kafka: &Kafka,
    partitions: &[(T, i32)],
) -> Result<Vec<Watermarks>, TopicError> {
    Inspector::open(kafka)?.all_watermarks(partitions, ANSWER_TIMEOUT)
}
