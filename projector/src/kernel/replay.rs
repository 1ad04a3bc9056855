//! Builds a generation anew from offset zero, up to the end offsets seen at its start, and publishes it.

mod build;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use event_log::Kafka;
use event_log::topics::{self, TopicError, Watermarks};
use schemas::event_data::EventData;

use super::checkpoint::{Checkpoint, SourceId};
use super::digest::Digest;
use super::generation::Generation;
use super::projection::Projection;
use super::read_model::{ReadModel, ReadModelError};
use super::sources;
use super::stop::StopReason;
use super::store::{GenerationError, StoreError};
use build::Build;

/// How a replay works.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// Name the new generation as the one to serve.
    pub publish: bool,
    /// Build in this directory instead, which must be empty or new; it is never published.
    pub into: Option<PathBuf>,
    /// Bytes of rows kept in memory before they are written.
    pub cache_bytes_max: usize,
    /// Partitions of each topic. A topic with another number is refused.
    pub partitions: i32,
    /// How long to wait for a broker.
    pub start_timeout: Duration,
    /// Take a topic that does not exist as empty. Without it, a wrong `--topic-prefix` would publish an empty read model.
    pub allow_missing_topics: bool,
    /// Who is at work, for others who come second: name and process id.
    pub holder: String,
}

impl ReplayOptions {
    /// Publishes, keeps at most 512 MiB of rows in memory, waits 30 s for a broker and refuses missing topics.
    #[must_use]
    pub fn new(partitions: i32, holder: String) -> Self {
        Self {
            publish: true,
            into: None,
            cache_bytes_max: CACHE_BYTES_DEFAULT,
            partitions,
            start_timeout: START_TIMEOUT_DEFAULT,
            allow_missing_topics: false,
            holder,
        }
    }
}

/// Rows of some million keys, and little beside what librdkafka keeps fetched ahead.
pub const CACHE_BYTES_DEFAULT: usize = 512 << 20;
/// A broker that is just starting answers within it.
const START_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// How far a replay is.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayProgress {
    /// Name of the generation that is being built.
    pub generation: String,
    /// Records read.
    pub done: u64,
    /// Records to read: from offset zero to the end offsets seen at the start.
    pub total: u64,
    /// Records a second since the start.
    pub events_per_s: f64,
    /// Time to go at that rate; `None` at the very start.
    pub eta: Option<Duration>,
    /// Bytes of rows in memory.
    pub cache_bytes: usize,
}

/// What a replay has built.
#[derive(Debug, Clone)]
pub struct ReplayReport {
    /// Name of the generation.
    pub generation: String,
    /// Its directory.
    pub path: PathBuf,
    /// Whether it is the one to serve now.
    pub published: bool,
    /// Events projected.
    pub events: u64,
    /// Records recognised as repeated.
    pub duplicates: u64,
    /// Digest of its rows.
    pub digest: Digest,
    /// How far it reaches.
    pub checkpoint: Arc<Checkpoint>,
    /// Bytes of its files.
    pub bytes_on_disk: u64,
    /// From the first look at the log until the rows were durable.
    pub elapsed: Duration,
    /// Generations removed because an earlier replay had left them unfinished.
    pub unfinished_removed: Vec<String>,
    /// Old generations removed because nobody needs them any more.
    pub retired: Vec<String>,
}

/// Why a replay did not come to its end. The served generation is as before.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The directory of the read model.
    #[error(transparent)]
    ReadModel(#[from] ReadModelError),
    /// The new generation.
    #[error(transparent)]
    Generation(#[from] GenerationError),
    /// Rows cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log cannot be reached, or a topic does not fit.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The log cannot be projected.
    #[error(transparent)]
    Stopped(#[from] StopReason),
    /// It was asked to stop.
    #[error("the replay was stopped after {done} of {total} records; nothing was published")]
    Cancelled {
        /// Records read.
        done: u64,
        /// Records to read.
        total: u64,
    },
}

impl ReplayError {
    /// Whether another process has the directory.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        matches!(
            self,
            Self::ReadModel(ReadModelError::ReplayAtWork { .. })
                | Self::Generation(GenerationError::InUse { .. })
        )
    }
}

/// Rebuilds from offset zero. `on_progress` is called a few times a second; once `cancelled` is true, the replay ends.
///
/// # Errors
/// [`ReplayError`]; what has been built so far stays unfinished and is removed by the next replay.
pub fn replay<E: EventData + 'static>(
    kafka: &Kafka,
    read_model: &ReadModel,
    projection: Projection<E>,
    options: &ReplayOptions,
    on_progress: impl FnMut(ReplayProgress),
    cancelled: &AtomicBool,
) -> Result<ReplayReport, ReplayError> {
    let began = Instant::now();
    let start = Checkpoint::zero(projection.topics.iter().map(|topic| (topic.name, options.partitions)));
    // First: while the log is not as it should be, nothing is written.
    let log = look_at_log(kafka, &projection, &start, options)?;
    let _lock = match options.into {
        Some(_) => None,
        None => Some(read_model.lock_for_replay(&options.holder)?),
    };
    let unfinished_removed = remove_unfinished(read_model, options)?;
    let (name, path) = place(read_model, options)?;
    let mut generation = Generation::create(&path, &projection.layout(), &start, &options.holder)?;
    let build = Build::new(name.clone(), projection, &generation, &log, options.cache_bytes_max);
    let counts = build.run(kafka, on_progress, cancelled)?;
    generation.finish()?;
    let mut report = ReplayReport {
        generation: name,
        path,
        published: false,
        events: counts.applied,
        duplicates: counts.duplicates,
        digest: generation.digest()?,
        checkpoint: generation.checkpoint(),
        bytes_on_disk: generation.bytes_on_disk()?,
        elapsed: began.elapsed(),
        unfinished_removed,
        retired: Vec::new(),
    };
    // Closed first, so that whoever sees the new name can open it.
    drop(generation);
    if options.publish && options.into.is_none() {
        read_model.publish(&report.generation)?;
        report.published = true;
        report.retired = read_model.retire()?;
    }
    Ok(report)
}

/// What every partition holds. A topic that does not exist holds nothing, if that is allowed.
fn look_at_log<E>(
    kafka: &Kafka,
    projection: &Projection<E>,
    start: &Checkpoint,
    options: &ReplayOptions,
) -> Result<Vec<Watermarks>, ReplayError> {
    topics::wait_reachable(kafka, options.start_timeout).map_err(TopicError::from)?;
    let mut log = BTreeMap::new();
    for topic in projection.topics {
        if topic_exists(kafka, topic.name, options)? {
            let partitions: Vec<_> =
                (0..options.partitions).map(|partition| (topic.name, partition)).collect();
            let held = topics::all_watermarks(kafka, &partitions)?;
            log.extend(partitions.into_iter().zip(held));
        }
    }
    let held = |source: &SourceId| log.get(&(&*source.topic, source.partition)).copied();
    let empty = Watermarks { low: 0, high: 0 };
    let log: Vec<_> = start.sources().map(|(source, _)| held(source).unwrap_or(empty)).collect();
    sources::check(start, &log, kafka.embedded)?;
    Ok(log)
}

fn topic_exists(kafka: &Kafka, topic: &str, options: &ReplayOptions) -> Result<bool, TopicError> {
    let expected = options.partitions;
    match topics::partition_count(kafka, topic)? {
        None if options.allow_missing_topics => Ok(false),
        None => Err(TopicError::Missing { topic: kafka.topic_name(topic) }),
        Some(actual) if actual != expected => {
            Err(TopicError::PartitionCount { topic: kafka.topic_name(topic), expected, actual })
        }
        Some(_) => Ok(true),
    }
}

fn remove_unfinished(read_model: &ReadModel, options: &ReplayOptions) -> Result<Vec<String>, ReadModelError> {
    if options.into.is_some() {
        return Ok(Vec::new());
    }
    let removed = read_model.remove_unfinished()?;
    for name in &removed {
        tracing::warn!("removed {name}, which an earlier replay had left unfinished");
    }
    Ok(removed)
}

fn place(read_model: &ReadModel, options: &ReplayOptions) -> Result<(String, PathBuf), ReadModelError> {
    match &options.into {
        Some(path) => Ok((shown(path), path.clone())),
        None => {
            let name = read_model.next_name()?;
            let path = read_model.path_of(&name);
            Ok((name, path))
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
