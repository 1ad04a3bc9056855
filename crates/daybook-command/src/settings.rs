//! What a command service is told at its start, with every bound and its reason.

use std::path::PathBuf;
use std::time::Duration;

use daybook_kafka::Kafka;
use daybook_service::ConnectionLimits;

/// Least bytes that a journal may have: a few segments, of which commands get some.
pub(crate) const JOURNAL_BYTES_MIN: u64 = 64 * 1024 * 1024;

#[derive(Debug, Clone)]
pub struct Settings {
    pub kafka: Kafka,
    /// Partitions of the service's topic; cannot be changed once there are events.
    pub partitions: i32,
    /// Copies of a topic that is created.
    pub replication_factor: i32,
    pub data_dir: PathBuf,
    /// Rebuild the store from the log first.
    pub recover: bool,
    /// Claim the topic although another instance is its writer, which is shut out by that.
    pub take_over: bool,
    /// Go on with another Kafka cluster than before.
    pub adopt_cluster: bool,
    /// What must have happened before a command is answered.
    pub answer_after: AnswerAfter,
    pub limits: Limits,
    pub connections: ConnectionLimits,
}

/// What must have happened before a command is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AnswerAfter {
    /// The write is synced to the own disk.
    #[default]
    Disk,
    /// Kafka has acknowledged the events as well.
    Kafka,
}

/// Bounds of a command service that an operator may move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Commands waiting for the committer; past it 503. A few groups, so that waiting stays far below a second.
    pub queued_commands_max: usize,
    /// Requests being worked on; past it 503. Half as many more may wait for `Daybook-After` or for Kafka. While a body
    /// comes, its connection is what is bounded: 16 KiB each.
    pub requests_max: usize,
    /// How long a client may take to send a body; past it 408.
    pub body_timeout: Duration,
    /// Longest work on one request, waiting included.
    pub request_timeout: Duration,
    /// Longest wait for `Daybook-After`, and the wait if the request names none.
    pub after_wait_max: Duration,
    /// With [`AnswerAfter::Kafka`]: longest wait for the acknowledgement. Must be below `request_timeout`.
    pub kafka_wait_max: Duration,
    /// How long an idempotency key is remembered.
    pub idempotency_age_max: Duration,
    /// Idempotency keys remembered at most; towards it the oldest are forgotten early. Some 70 bytes of memory each.
    pub idempotency_keys_max: u64,
    /// No key is forgotten before; if that leaves too many, commands with new keys get 503.
    pub idempotency_age_min: Duration,
    /// Events not yet acknowledged by Kafka; past it commands get 503. Days without Kafka for a small shop.
    pub unsent_events_max: u64,
    /// Sent events kept per partition to heal a log that lost its end.
    pub kept_events_max: u64,
    /// How long sent events are kept at most.
    pub kept_age_max: Duration,
    /// Bytes of sent events kept, over all partitions.
    pub kept_bytes_max: u64,
    /// Bytes of the journal: unsent events, kept ones, and the outcomes under idempotency keys. Towards it the oldest of the
    /// latter two go early; past it commands get 503.
    pub journal_bytes_max: u64,
    /// sled's cache.
    pub cache_bytes_max: u64,
    /// How long the start waits for a broker.
    pub start_timeout: Duration,
    /// How long a stopping service goes on handing its outbox to Kafka.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queued_commands_max: 1_024,
            requests_max: 4_096,
            body_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(15),
            after_wait_max: Duration::from_secs(5),
            kafka_wait_max: Duration::from_secs(10),
            idempotency_age_max: Duration::from_hours(24),
            idempotency_keys_max: 1_000_000,
            idempotency_age_min: Duration::from_secs(600),
            unsent_events_max: 1_000_000,
            kept_events_max: 20_000,
            kept_age_max: Duration::from_hours(7 * 24),
            kept_bytes_max: 256 * 1024 * 1024,
            journal_bytes_max: 4 * 1024 * 1024 * 1024,
            cache_bytes_max: 128 * 1024 * 1024,
            start_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
        }
    }
}
