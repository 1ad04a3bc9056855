//! What a query-api needs to know, checked.

use std::path::PathBuf;
use std::time::Duration;

use daybook_kafka::Kafka;
use daybook_projection::replay::{KEEP_DEFAULT, MEMORY_BYTES_DEFAULT};
use daybook_service::ConnectionLimits;

use super::limits::{CATCH_UP_MS_MAX_DEFAULT, WAIT_MS_MAX_DEFAULT};

/// How long the first build waits for Kafka and its topics, unless a setting says otherwise.
pub const START_TIMEOUT_MS_DEFAULT: u64 = 30_000;

/// Settings of one query-api.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the log is.
    pub kafka: Kafka,
    /// Partitions of each topic.
    pub partitions: i32,
    /// Directory of the read model.
    pub data_dir: PathBuf,
    /// Rebuild the read model at the start, while what there is goes on being served.
    pub replay: bool,
    /// Bytes of memory that a replay may sort and merge in.
    pub memory_bytes_max: usize,
    /// How many of the generations that were published before a replay keeps.
    pub keep: usize,
    /// Publish what a replay has built even if it differs from what is served, for this reason.
    pub accept_difference: Option<String>,
    /// Longest wait that `Daybook-Wait-Ms` can ask for.
    pub wait_ms_max: u64,
    /// How long queries wait after the start while the read model gets no further towards the log's end of then; after that
    /// they are answered from what there is.
    pub catch_up_max: Duration,
    /// How long the first build waits for Kafka and its topics before the start is given up.
    pub start_timeout: Duration,
    /// Bounds on HTTP connections.
    pub connections: ConnectionLimits,
}

impl Settings {
    /// Settings with all defaults.
    #[must_use]
    pub fn new(kafka: Kafka, partitions: i32, data_dir: PathBuf) -> Self {
        Self {
            kafka,
            partitions,
            data_dir,
            replay: false,
            memory_bytes_max: MEMORY_BYTES_DEFAULT,
            keep: KEEP_DEFAULT,
            accept_difference: None,
            wait_ms_max: WAIT_MS_MAX_DEFAULT,
            catch_up_max: Duration::from_millis(CATCH_UP_MS_MAX_DEFAULT),
            start_timeout: Duration::from_millis(START_TIMEOUT_MS_DEFAULT),
            connections: ConnectionLimits::default(),
        }
    }
}
