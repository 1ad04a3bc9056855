//! The command line, as it is written.

use std::path::PathBuf;
use std::time::Duration;

use daybook_kafka::{Kafka, partitions, replication_factor};
use daybook_service::LogFlags;
use daybook_service::settings::{millis, number, setting};
use uuid::Uuid;

use crate::replay::{KEEP_MAX, MEMORY_BYTES_RANGE};

/// A day.
const START_TIMEOUT_MS_MAX: u64 = 86_400_000;
/// More differing rows than anybody reads.
const LIMIT_MAX: usize = 1_000_000;

/// Rebuild service D's read model from the log, prove it, or look at it.
///
/// Exit codes: 0 done; 1 failed, refused, or (--verify) different; 2 wrong settings; 3 the directory is in use
#[derive(clap::Parser, Debug)]
#[command(name = "projector", version)]
pub(super) struct Flags {
    /// Build the next generation from offset zero up to the log's present end, compare it with the one that is served,
    /// then publish it; goes on with a replay that was stopped or killed
    #[arg(long)]
    pub(super) replay: bool,

    /// Build a generation aside up to where the published one is, and compare all rows; exit 1 if any differs or
    /// cannot be read
    #[arg(long)]
    pub(super) verify: bool,

    /// Serve again what was published before, once it has caught up
    #[arg(long)]
    pub(super) rollback: bool,

    /// Remove what a replay has left unfinished
    #[arg(long)]
    pub(super) discard: bool,

    /// Show the published generation: layout, checkpoint against end offsets, bytes on disk, digest; of one that is
    /// being served bytes and quarantine only (see its GET /status)
    #[arg(long)]
    pub(super) status: bool,

    /// Show the rows of all views with this key
    #[arg(long, value_name = "UUID", value_parser = setting("a UUID", Uuid::nil(), |raw| raw.trim().parse().ok()))]
    pub(super) inspect: Option<Uuid>,

    /// Project all events of this key that wait in quarantine, in order; exit 1 and change nothing if one still fails
    #[arg(long, value_name = "KEY")]
    pub(super) release: Option<String>,

    /// Leave this event, which waits in quarantine, out of this and all later generations: its id, or its position such as
    /// users.events/3@17; needs --why
    #[arg(long, value_name = "EVENT")]
    pub(super) skip_event: Option<String>,

    /// With --skip-event: why it is left out; kept for ever
    #[arg(long, value_name = "TEXT")]
    pub(super) why: Option<String>,

    /// With --replay and --verify: read at most so many events per second; 0 for no limit. Alone: change that of the
    /// replay at work
    #[arg(long, value_name = "EVENTS_PER_S", value_parser = number(0..=u64::from(u32::MAX)))]
    pub(super) rate: Option<u64>,

    /// With --replay: build, but do not publish
    #[arg(long)]
    pub(super) no_publish: bool,

    /// With --replay: build in this empty or new directory, and do not publish
    #[arg(long, value_name = "DIR")]
    pub(super) into: Option<PathBuf>,

    /// With --replay: publish even if the new generation differs from the one that is served, for this reason
    #[arg(long, value_name = "WHY")]
    pub(super) accept_difference: Option<String>,

    /// With --replay: stop at the first record that cannot be projected, instead of parking its key; exit 1
    #[arg(long)]
    pub(super) stop_at_quarantine: bool,

    /// With --replay: how many of the generations that were published before are kept
    #[arg(long, env = "DAYBOOK_KEEP", default_value = "1", value_name = "N", value_parser = number(0..=KEEP_MAX))]
    pub(super) keep: usize,

    /// With --replay and --verify: bytes of memory for sorting and merging
    #[arg(long, env = "DAYBOOK_MEMORY", default_value = "536870912", value_name = "BYTES", value_parser = number(MEMORY_BYTES_RANGE))]
    pub(super) memory: usize,

    /// With --verify: how many differing rows are listed
    #[arg(long, default_value = "20", value_name = "ROWS", value_parser = number(1..=LIMIT_MAX))]
    pub(super) limit: usize,

    /// Results and progress as JSON, one object per line
    #[arg(long)]
    pub(super) json: bool,

    /// Directory of the read model
    #[arg(long, env = "DAYBOOK_DATA_DIR", default_value = "data/read-model", value_name = "DIR")]
    pub(super) data_dir: PathBuf,

    /// How long to wait for a broker
    #[arg(
        long = "start-timeout-ms",
        env = "DAYBOOK_START_TIMEOUT_MS",
        default_value = "30000",
        value_name = "MS",
        value_parser = millis(0..=START_TIMEOUT_MS_MAX)
    )]
    pub(super) start_timeout: Duration,

    #[command(flatten)]
    pub(super) kafka: Kafka,

    /// Partitions of each topic; cannot be changed once the topics exist
    #[arg(long, env = "DAYBOOK_PARTITIONS", default_value = "6", value_name = "N", value_parser = partitions())]
    pub(super) partitions: i32,

    // Taken as all programs take it; this one creates no topics.
    /// Copies that Kafka keeps of a topic that is created
    #[arg(
        long,
        env = "DAYBOOK_REPLICATION_FACTOR",
        default_value = "1",
        value_name = "N",
        value_parser = replication_factor()
    )]
    replication_factor: i32,

    #[command(flatten)]
    pub(super) log: LogFlags,
}
