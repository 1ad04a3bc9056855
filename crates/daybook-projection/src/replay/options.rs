//! How a replay works, what it has built, and why it did not come to its end.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use daybook_kafka::LogError;
use daybook_kafka::topics::TopicError;
use daybook_store::Digest;

use super::Destination;
use super::compare::Comparison;
use crate::checkpoint::Checkpoint;
use crate::external_sort::RUNS_MERGED_MAX;
use crate::generation::{Generation, Moment};
use crate::projection::Layout;
use crate::quarantine::{Quarantine, SkippedEvent};
use crate::read_model::ReadModelError;
use crate::stop::StopReason;
use crate::store::{GenerationError, StoreError};

#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// Name the new generation as the one to serve.
    pub publish: bool,
    /// Build in this directory instead, which must be empty or new, or hold a build to resume; it is never published.
    pub into: Option<PathBuf>,
    /// Bytes of memory for changes that are being sorted and merged, over all threads.
    pub memory_bytes_max: usize,
    /// Records read per second at most; none for no limit. Can be changed while the replay runs, see
    /// [`crate::ReadModel::set_rate`].
    pub rate_max: Option<u64>,
    /// Old generations to keep beside the published one.
    pub keep: usize,
    /// Read up to this place; none for the end offsets seen at the start.
    pub goal: Option<Arc<Checkpoint>>,
    /// Publish even if the new generation differs from the one that is served, for this reason.
    pub accept_difference: Option<String>,
    /// Stop at the first record that would wait in quarantine.
    pub stop_at_quarantine: bool,
    /// Events that are left out; a replay of a read model leaves out those that it names.
    pub skipped: Vec<SkippedEvent>,
    /// Runs of sorted changes that are merged at once; more are merged in several steps.
    pub runs_merged_max: usize,
    pub threads: usize,
    /// Partitions of each topic. A topic with another number is refused.
    pub partitions: i32,
    pub start_timeout: Duration,
    /// Who is at work, for others who come second: name and process id.
    pub holder: String,
}

impl ReplayOptions {
    /// Publishes, takes 512 MiB, is not throttled, keeps one old generation and waits 30 s for a broker.
    pub fn new(partitions: i32, holder: String) -> Self {
        Self {
            publish: true,
            into: None,
            memory_bytes_max: MEMORY_BYTES_DEFAULT,
            rate_max: None,
            keep: KEEP_DEFAULT,
            goal: None,
            accept_difference: None,
            stop_at_quarantine: false,
            skipped: Vec::new(),
            runs_merged_max: RUNS_MERGED_MAX,
            threads: thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX),
            partitions,
            start_timeout: START_TIMEOUT_DEFAULT,
            holder,
        }
    }
}

/// More than any replay up to some ten million events makes use of.
pub const MEMORY_BYTES_DEFAULT: usize = 512 << 20;
/// What a setting may name. With less, runs would be so small that merging them takes longer than anything else; more, no
/// machine has.
pub const MEMORY_BYTES_RANGE: RangeInclusive<usize> = 1 << 20..=1 << 44;
/// Most old generations that a setting may name: more than anybody goes back to.
pub const KEEP_MAX: usize = 1_000;
/// Old generations kept if nothing else is said: the last one, to go back to.
pub const KEEP_DEFAULT: usize = 1;
/// Each thread has a consumer of its own; past so many, one broker is the limit.
const THREADS_MAX: usize = 8;
/// A broker that is just starting answers within it.
const START_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub struct ReplayReport {
    pub generation: String,
    pub path: PathBuf,
    /// Whether it is the one to serve now.
    pub published: bool,
    /// Whether a build that was begun before was resumed.
    pub resumed: bool,
    pub events: u64,
    pub duplicates: u64,
    pub digest: Digest,
    pub checkpoint: Arc<Checkpoint>,
    pub bytes_on_disk: u64,
    /// From the first read of the log until the rows were durable.
    pub elapsed: Duration,
    pub quarantine: Arc<Quarantine>,
    /// How it compares with the generation that was published before.
    pub compared: Comparison,
    /// Old generations removed because nobody needs them any more.
    pub retired: Vec<String>,
}

pub(super) struct Built {
    pub(super) destination: Destination,
    pub(super) generation: Generation,
    pub(super) resumed: bool,
    pub(super) duplicates: u64,
}

impl Built {
    /// Closes the generation, once it is proved to be what was built, and finishes it.
    pub(super) fn finish(
        self,
        layout: &Layout,
        compared: Comparison,
        began: Instant,
    ) -> Result<ReplayReport, ReplayError> {
        let Self { destination, generation, resumed, duplicates } = self;
        let accepted = match &compared {
            Comparison::Accepted { why, .. } | Comparison::NotCompared { why, .. } => Some(why.as_str()),
            _ => None,
        };
        let generation = generation.proved(layout, accepted, resumed)?;
        generation.finish()?;
        let Moment { checkpoint, digest, quarantine } = Moment::clone(&generation.moment());
        Ok(ReplayReport {
            generation: destination.name,
            path: destination.path,
            published: false,
            resumed,
            events: checkpoint.events(),
            duplicates,
            digest,
            checkpoint,
            bytes_on_disk: generation.bytes_on_disk()?,
            elapsed: began.elapsed(),
            quarantine,
            compared,
            retired: Vec::new(),
        })
    }
}

/// Why a replay did not come to its end. The served generation is as before.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    ReadModel(#[from] ReadModelError),
    #[error(transparent)]
    Generation(#[from] GenerationError),
    #[error("{0} What has been built so far is kept: start the replay again to resume it")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error(transparent)]
    Stopped(#[from] StopReason),
    #[error(
        "{name} was left unfinished by an earlier replay and cannot be resumed: {reason}; remove it with `projector --discard`, then start again"
    )]
    Abandoned { name: String, reason: String },
    #[error(
        "the new generation cannot be compared with the published one at present, and is not published: {reason}. Repair that and start again; to publish it without a comparison, start again with `--accept-difference WHY`"
    )]
    NotCompared { reason: String },
    #[error(
        "the new generation is not the same as the published one, and not published: {difference}. `projector --verify` names the rows; to publish it all the same, start again with `--accept-difference WHY`"
    )]
    Differs { difference: String },
    #[error(
        "the replay was stopped after {done} of {total} records; nothing was published. Start it again to resume from there"
    )]
    Cancelled { done: u64, total: u64 },
}

impl From<LogError> for ReplayError {
    fn from(error: LogError) -> Self {
        StopReason::from(error).into()
    }
}

impl ReplayError {
    pub fn is_in_use(&self) -> bool {
        matches!(
            self,
            Self::ReadModel(ReadModelError::ReplayAtWork { .. })
                | Self::Generation(GenerationError::InUse { .. })
        )
    }
}
