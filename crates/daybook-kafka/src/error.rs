//! What can go wrong while reading and writing.

use std::time::Duration;

/// Why the log cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// librdkafka refuses the settings.
    #[error("Kafka settings are refused: {reason}; correct --brokers or --kafka KEY=VALUE")]
    Settings {
        /// librdkafka's words.
        reason: String,
    },
    /// No broker answered in time.
    #[error(
        "no Kafka broker answers at {brokers} (waited {waited_ms} ms{}); check that Kafka runs and that --brokers and \
         the --kafka options for TLS and SASL are right",
        because(reason)
    )]
    Unreachable {
        /// As given by `--brokers`.
        brokers: String,
        /// How long it was tried.
        waited_ms: u128,
        /// The last thing librdkafka said about it, if anything.
        reason: Option<String>,
    },
    /// Some of what is read came, and nothing of one partition.
    #[error(
        "nothing comes of topic {topic} partition {partition} (waited {waited_ms} ms), although other partitions are read; check the \
         broker that leads it"
    )]
    Silent {
        /// Full name.
        topic: String,
        /// Kafka's partition number.
        partition: i32,
        /// How long it was waited for.
        waited_ms: u128,
    },
    /// A start that names no offset a record can have.
    #[error("cannot read topic {topic} partition {partition} from offset {offset}: offsets begin at 0")]
    StartNegative {
        /// Full name.
        topic: String,
        /// Kafka's partition number.
        partition: i32,
        /// As given.
        offset: i64,
    },
    /// The wanted offset is not in the log: it was truncated, recreated, or its oldest records were dropped.
    #[error(
        "topic {topic} partition {partition} no longer has offset {offset}{}: its records were deleted, or it was \
         truncated or created anew; restore the topic, or rebuild from a log that is complete",
        holds(held)
    )]
    OffsetOutOfRange {
        /// Full name.
        topic: String,
        /// Kafka's partition number.
        partition: i32,
        /// The offset that was to be read next.
        offset: i64,
        /// What the partition holds: first offset and end offset; none if that could not be learned.
        held: Option<(i64, i64)>,
    },
    /// A partition cannot be read up to where it is known to reach.
    #[error(
        "topic {topic} partition {partition} can be read up to offset {end} only, and reached to offset {wanted} just \
         before (waited {waited_ms} ms): it is being restored, or has lost its end; check its replicas and try again"
    )]
    EndsBefore {
        /// Full name.
        topic: String,
        /// Kafka's partition number.
        partition: i32,
        /// Everything before this offset was read.
        end: i64,
        /// Everything before this offset was to be read.
        wanted: i64,
        /// How long it was waited for more.
        waited_ms: u128,
    },
    /// The topic or the partition does not exist.
    #[error(
        "topic {topic} has no partition {partition}; create the topic, or correct --topic-prefix or --partitions"
    )]
    NoSuchPartition {
        /// Full name.
        topic: String,
        /// Kafka's partition number.
        partition: i32,
    },
    /// A record batch whose checksum or compression is broken.
    #[error(
        "topic {topic} partition {partition} is damaged at offset {offset}: {reason}; restore the partition from a \
         replica or a backup"
    )]
    Damaged {
        /// Full name.
        topic: String,
        /// Kafka's partition number.
        partition: i32,
        /// The offset that was to be read next.
        offset: i64,
        /// librdkafka's words.
        reason: String,
    },
    /// The broker does not let us read.
    #[error("topic {topic} may not be read: {reason}; grant READ and DESCRIBE on it to this user")]
    Denied {
        /// Full name.
        topic: String,
        /// librdkafka's words.
        reason: String,
    },
    /// Whoever reads was asked to stop.
    #[error("reading was given up at a stop")]
    GivenUp,
    /// Not everything was acknowledged in time.
    #[error("{outstanding} records are still not acknowledged by Kafka after {waited_ms} ms")]
    FlushTimeout {
        /// Records sent and not yet reported.
        outstanding: usize,
        /// How long it was waited.
        waited_ms: u128,
    },
    /// Anything else that the client cannot recover from.
    #[error("Kafka client failed while {doing}: {reason}")]
    Client {
        /// What was being done.
        doing: &'static str,
        /// librdkafka's words.
        reason: String,
    },
}

impl LogError {
    /// Whether it may pass by itself or by what somebody does to Kafka: whoever reads on opens a new reader after a pause.
    #[must_use]
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
