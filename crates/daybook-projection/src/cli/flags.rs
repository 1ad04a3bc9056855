//! The command line, as it is written.

use std::path::PathBuf;

use daybook_kafka::KafkaFlags;
use daybook_service::LogFlags;

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
    #[arg(long, value_name = "UUID")]
    pub(super) inspect: Option<String>,

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
    #[arg(long, value_name = "EVENTS_PER_S")]
    pub(super) rate: Option<String>,

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
    #[arg(long, env = "DAYBOOK_KEEP", default_value = "1", value_name = "N")]
    pub(super) keep: String,

    /// With --replay and --verify: bytes of memory for sorting and merging
    #[arg(long, env = "DAYBOOK_MEMORY", default_value = "536870912", value_name = "BYTES")]
    pub(super) memory: String,

    /// With --verify: how many differing rows are listed
    #[arg(long, default_value = "20", value_name = "ROWS")]
    pub(super) limit: String,

    /// Results and progress as JSON, one object per line
    #[arg(long)]
    pub(super) json: bool,

    /// Directory of the read model
    #[arg(long, env = "DAYBOOK_DATA_DIR", default_value = "data/read-model", value_name = "DIR")]
    pub(super) data_dir: PathBuf,

    /// How long to wait for a broker
    #[arg(long, env = "DAYBOOK_START_TIMEOUT_MS", default_value = "30000", value_name = "MS")]
    pub(super) start_timeout_ms: String,

    #[command(flatten)]
    pub(super) kafka: KafkaFlags,

    #[command(flatten)]
    pub(super) log: LogFlags,
}
