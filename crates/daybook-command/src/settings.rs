//! What a command service is told at its start, with every bound and its reason.

use std::path::PathBuf;
use std::time::Duration;

use daybook_kafka::Kafka;
use daybook_service::ConnectionLimits;
use daybook_service::settings::{defaults, millis, number, seconds};

/// A day: longer waits are mistakes of unit.
const MS_MAX: u64 = 86_400_000;
/// Ten years.
const S_MAX: u64 = 315_360_000;
/// Least bytes that a journal may have: a few segments, of which commands get some.
pub(crate) const JOURNAL_BYTES_MIN: u64 = 64 * 1024 * 1024;

#[derive(Debug, Clone)]
pub struct Settings {
    pub kafka: Kafka,
    /// Partitions of the service's topic; cannot be changed once there are events.
    pub partitions: i32,
    pub replication_factor: i32,
    pub data_dir: PathBuf,
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
#[derive(clap::Args, Debug, Clone, PartialEq, Eq)]
#[command(next_help_heading = "Bounds")]
pub struct Limits {
    // A few groups, so that waiting stays far below a second.
    /// Commands waiting to be decided; past it 503
    #[arg(long, env = "DAYBOOK_QUEUED_COMMANDS_MAX", default_value = "1024", value_name = "N", value_parser = number::<usize>(1..=1_000_000))]
    pub queued_commands_max: usize,
    // While a body comes, its connection is what is bounded: 16 KiB each.
    /// Requests being worked on; past it 503. Half as many more may wait for Daybook-After or for Kafka
    #[arg(long, env = "DAYBOOK_REQUESTS_MAX", default_value = "4096", value_name = "N", value_parser = number::<usize>(1..=1_000_000))]
    pub requests_max: usize,
    /// How long a client may take to send a body; past it 408
    #[arg(long = "body-timeout-ms", env = "DAYBOOK_BODY_TIMEOUT_MS", default_value = "5000", value_name = "MS", value_parser = millis(1..=MS_MAX))]
    pub body_timeout: Duration,
    /// Longest work on one request
    #[arg(long = "request-timeout-ms", env = "DAYBOOK_REQUEST_TIMEOUT_MS", default_value = "15000", value_name = "MS", value_parser = millis(1..=MS_MAX))]
    pub request_timeout: Duration,
    /// Longest wait for Daybook-After, and the wait if a request names none
    #[arg(long = "after-wait-ms-max", env = "DAYBOOK_AFTER_WAIT_MS_MAX", default_value = "5000", value_name = "MS", value_parser = millis(0..=MS_MAX))]
    pub after_wait_max: Duration,
    // Must be below `request_timeout`.
    /// With --answer-after kafka: longest wait for the acknowledgement
    #[arg(long = "kafka-wait-ms-max", env = "DAYBOOK_KAFKA_WAIT_MS_MAX", default_value = "10000", value_name = "MS", value_parser = millis(1..=MS_MAX))]
    pub kafka_wait_max: Duration,
    /// How long an idempotency key is remembered
    #[arg(long = "idempotency-age-s-max", env = "DAYBOOK_IDEMPOTENCY_AGE_S_MAX", default_value = "86400", value_name = "S", value_parser = seconds(1..=S_MAX))]
    pub idempotency_age_max: Duration,
    // Some 70 bytes of memory each.
    /// Idempotency keys remembered at most; towards it the oldest are forgotten early
    #[arg(long, env = "DAYBOOK_IDEMPOTENCY_KEYS_MAX", default_value = "1000000", value_name = "N", value_parser = number::<u64>(1..=1_000_000_000))]
    pub idempotency_keys_max: u64,
    /// No idempotency key is forgotten before; if that leaves too many, commands with new keys get 503
    #[arg(long = "idempotency-age-s-min", env = "DAYBOOK_IDEMPOTENCY_AGE_S_MIN", default_value = "600", value_name = "S", value_parser = seconds(0..=S_MAX))]
    pub idempotency_age_min: Duration,
    // Days without Kafka for a small shop.
    /// Events waiting to be sent to Kafka; past it commands get 503
    #[arg(long, env = "DAYBOOK_UNSENT_EVENTS_MAX", default_value = "1000000", value_name = "N", value_parser = number::<u64>(1..=1_000_000_000))]
    pub unsent_events_max: u64,
    /// Sent events kept per partition, to heal a log that lost its end
    #[arg(long, env = "DAYBOOK_KEPT_EVENTS_MAX", default_value = "20000", value_name = "N", value_parser = number::<u64>(0..=1_000_000_000))]
    pub kept_events_max: u64,
    /// How long sent events are kept at most
    #[arg(long = "kept-age-s-max", env = "DAYBOOK_KEPT_AGE_S_MAX", default_value = "604800", value_name = "S", value_parser = seconds(0..=S_MAX))]
    pub kept_age_max: Duration,
    /// Bytes of sent events kept, over all partitions; --kept-events-max and --kept-age-s-max bound them as well
    #[arg(long, env = "DAYBOOK_KEPT_BYTES_MAX", default_value = "268435456", value_name = "BYTES", value_parser = number::<u64>(0..=1 << 50))]
    pub kept_bytes_max: u64,
    /// Bytes of the journal: unsent and kept events, and idempotency keys; towards it kept events and old keys go early, past
    /// it commands get 503
    #[arg(long, env = "DAYBOOK_JOURNAL_BYTES_MAX", default_value = "4294967296", value_name = "BYTES", value_parser = number(JOURNAL_BYTES_MIN..=1 << 50))]
    pub journal_bytes_max: u64,
    /// Memory for the store's cache. The store's file may have 16 to 24 times the bytes of its rows, whatever this is
    #[arg(long, env = "DAYBOOK_CACHE_BYTES_MAX", default_value = "134217728", value_name = "BYTES", value_parser = number::<u64>(1 << 20..=1 << 40))]
    pub cache_bytes_max: u64,
    /// How long the start waits for a Kafka broker
    #[arg(long = "start-timeout-ms", env = "DAYBOOK_START_TIMEOUT_MS", default_value = "30000", value_name = "MS", value_parser = millis(1..=MS_MAX))]
    pub start_timeout: Duration,
    /// How long a stopping service goes on handing its outbox to Kafka
    #[arg(long = "drain-timeout-ms", env = "DAYBOOK_DRAIN_TIMEOUT_MS", default_value = "10000", value_name = "MS", value_parser = millis(0..=MS_MAX))]
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        defaults()
    }
}
