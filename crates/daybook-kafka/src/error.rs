//! What can go wrong while reading and writing.

use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    #[error("Kafka settings are refused: {reason}; correct --brokers or --kafka KEY=VALUE")]
    Settings { reason: String },
    #[error(
        "no Kafka broker answers at {brokers} (waited {waited_ms} ms{}); check that Kafka runs and that --brokers and \
         the --kafka options for TLS and SASL are right",
        because(reason)
    )]
    Unreachable {
        brokers: String,
        waited_ms: u128,
        /// The last thing librdkafka said about it, if anything.
        reason: Option<String>,
    },
    #[error(
        "topic {topic} partition {partition} delivers nothing (waited {waited_ms} ms), although other partitions do; check the broker \
         that leads it"
    )]
    Silent { topic: String, partition: i32, waited_ms: u128 },
    #[error("cannot read topic {topic} partition {partition} from offset {offset}: offsets begin at 0")]
    StartNegative { topic: String, partition: i32, offset: i64 },
    #[error(
        "topic {topic} partition {partition} no longer has offset {offset}{}: its records were deleted, or it was \
         truncated or recreated; restore the topic, or rebuild from a log that is complete",
        holds(held)
    )]
    OffsetOutOfRange {
        topic: String,
        partition: i32,
        offset: i64,
        /// What the partition holds: first offset and end offset; none if that could not be learned.
        held: Option<(i64, i64)>,
    },
    #[error(
        "topic {topic} partition {partition} can be read only up to offset {end}, and reached offset {wanted} just \
         before (waited {waited_ms} ms): it is being restored, or has lost its end; check its replicas and try again"
    )]
    EndsBefore { topic: String, partition: i32, end: i64, wanted: i64, waited_ms: u128 },
    #[error(
        "topic {topic} has no partition {partition}; create the topic, or correct --topic-prefix or --partitions"
    )]
    NoSuchPartition { topic: String, partition: i32 },
    #[error(
        "topic {topic} partition {partition} is damaged at offset {offset}: {reason}; restore the partition from a \
         replica or a backup"
    )]
    Damaged { topic: String, partition: i32, offset: i64, reason: String },
    #[error("topic {topic} may not be read: {reason}; grant READ and DESCRIBE on it to this user")]
    Denied { topic: String, reason: String },
    #[error("reading was cancelled by a stop")]
    GivenUp,
    #[error("{outstanding} records are still not acknowledged by Kafka after {waited_ms} ms")]
    FlushTimeout { outstanding: usize, waited_ms: u128 },
    #[error("Kafka client failed while {doing}: {reason}")]
    Client { doing: &'static str, reason: String },
}

impl LogError {
    /// Whether it may pass by itself or by what is done to Kafka: to read further, open a new reader after a pause.
    pub fn may_pass(&self) -> bool {
        !matches!(self, Self::Settings { .. } | Self::StartNegative { .. })
    }

    pub(crate) fn unreachable(brokers: &str, waited: Duration, reason: Option<String>) -> LogError {
        LogError::Unreachable { brokers: brokers.to_owned(), waited_ms: waited.as_millis(), reason }
    }
}

fn because(reason: &Option<String>) -> String {
    reason.as_ref().map_or_else(String::new, |reason| format!("; last error: {reason}"))
}

fn holds(held: &Option<(i64, i64)>) -> String {
    match held {
        Some((low, high)) if low == high => format!(" (it is empty, its end offset is {high})"),
        Some((low, high)) => format!(" (it holds offsets {low} to {})", high - 1),
        None => String::new(),
    }
}
