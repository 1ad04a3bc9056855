//! The measured half: what this program does when it has started itself, reported as lines of JSON on stdout.

use std::path::PathBuf;
use std::time::Instant;

use daybook_projection::{ReadModel, ReplayOptions, ReplayProgress, generation};
use daybook_service::Stop;
use serde::{Deserialize, Serialize};

use crate::loader::PARTITIONS;
use crate::{Outcome, broker, consume};

/// One line of a child.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Report {
    /// A replay at work.
    Progress(ReplayProgress),
    /// It is done.
    Replayed(Replayed),
    /// A bare consumer has counted everything.
    Consumed(Consumed),
    /// Kafka Streams has done the same job.
    Streamed(Streamed),
}

/// A replay that came to its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Replayed {
    /// Of the whole replay, publishing included.
    pub(crate) seconds: f64,
    /// Events projected.
    pub(crate) events: u64,
    /// Digest of the rows.
    pub(crate) digest: String,
    /// Bytes of the generation.
    pub(crate) bytes_on_disk: u64,
    /// Whether it went on with what another one had left.
    pub(crate) resumed: bool,
    /// Most memory that the process has had; none where the system does not say.
    pub(crate) memory_bytes: Option<u64>,
}

/// A bare consumer that came to its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Consumed {
    /// From opening the readers on.
    pub(crate) seconds: f64,
    /// Records counted.
    pub(crate) events: u64,
    /// As of a replay.
    pub(crate) memory_bytes: Option<u64>,
}

/// What the program in `benchmarks/kafka-streams/` tells at its end; its class `Result` says what each figure is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Streamed {
    /// Events processed.
    pub(crate) events: u64,
    /// Rows in its stores.
    pub(crate) rows: u64,
    /// Until the last event was processed.
    pub(crate) seconds: f64,
    /// Of all cores, the start of Java included.
    pub(crate) cpu_seconds: f64,
    /// Most memory that the process has had.
    pub(crate) memory_bytes: u64,
    /// Bytes of its stores.
    pub(crate) bytes_on_disk: u64,
    /// Bytes of the topics in which its stores are kept.
    pub(crate) changelog_bytes: u64,
}

/// Which log.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub(crate) struct ReplayFlags {
    #[arg(long)]
    pub(crate) topic_prefix: String,
    #[arg(long)]
    pub(crate) data_dir: PathBuf,
    #[arg(long)]
    pub(crate) memory: usize,
}

/// Which log, and how many readers.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub(crate) struct ConsumeFlags {
    #[arg(long)]
    pub(crate) topic_prefix: String,
    #[arg(long)]
    pub(crate) readers: usize,
}

/// Replays, and tells how it goes.
pub(crate) fn replay(brokers: &str, flags: &ReplayFlags) -> Outcome {
    let kafka = broker::kafka(brokers, &flags.topic_prefix);
    let read_model = ReadModel::open(&flags.data_dir)?;
    let mut options = ReplayOptions::new(PARTITIONS, "benchmarks".to_owned());
    options.memory_bytes_max = flags.memory;
    let (projection, never) = (projector::projection(), Stop::default());
    let began = Instant::now();
    let on_progress =
        |progress| send(&Report::Progress(progress)).unwrap_or_else(|error| eprintln!("error: {error}"));
    let report = daybook_projection::replay(&kafka, &read_model, projection, &options, on_progress, &never)?;
    let seconds = began.elapsed().as_secs_f64();
    send(&Report::Replayed(Replayed {
        seconds,
        events: report.events,
        digest: report.digest.to_string(),
        // Looked at now, when everything that only the replay needed is gone.
        bytes_on_disk: generation::bytes_on_disk(&report.path)?,
        resumed: report.resumed,
        memory_bytes: memory_bytes_peak(),
    }))
}

/// Counts, and tells how long it took.
pub(crate) fn consume(brokers: &str, flags: &ConsumeFlags) -> Outcome {
    let kafka = broker::kafka(brokers, &flags.topic_prefix);
    let began = Instant::now();
    let events = consume::count(&kafka, flags.readers)?;
    let seconds = began.elapsed().as_secs_f64();
    send(&Report::Consumed(Consumed { seconds, events, memory_bytes: memory_bytes_peak() }))
}

/// Fails the process if nobody listens any more: `println!` panics then.
fn send(report: &Report) -> Outcome {
    println!("{}", serde_json::to_string(report)?);
    Ok(())
}

/// The largest resident set that this process has had, from `/proc`.
fn memory_bytes_peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}
