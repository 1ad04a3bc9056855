//! `--recover`: the store rebuilt from the own topic, from offset zero to its end, beside the old one.
//!
//! Events that the old store has not sent are taken over, where it can still be read and they fit behind the log's end.
//! What else the log does not have is not rebuilt: idempotency keys are forgotten, sent rows are no longer kept.
//!
//! Memory is bounded by the caches of both stores, the rows gathered for the new one (see `gathered`), and what a reader
//! fetches ahead. A process that is killed meanwhile leaves the old store in its place, and the next one begins anew.

mod gathered;
mod leftover;
mod old_outbox;
mod rebuild;
mod report;
mod take_over;

use std::time::{Duration, Instant};

use event_log::topics::{self, TopicError};
use event_log::{Kafka, LogError, Polled, Reader, Record, Start};

use super::aggregate::Aggregate;
use super::directory::{Directory, DirectoryError};
use super::incoming::{self, IncomingError};
use super::log_tail::Tail;
use super::store::{Store, StoreError};
use old_outbox::OldOutbox;
use rebuild::Rebuild;
use report::report;
use take_over::take_over;

pub use rebuild::TakeError;

/// How long one poll waits before the end of the log is looked for again.
const POLL_TIMEOUT: Duration = Duration::from_millis(500);
/// How long the log may stay silent before its end before that counts as a failure.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How often progress is told.
const PROGRESS_PAUSE: Duration = Duration::from_secs(3);

/// Why the store could not be rebuilt. The old one is untouched then.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The topic cannot be inspected, or no longer has its beginning.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Nothing came for a long time.
    #[error(
        "the log fell silent before its end ({done} of {total} events read); check the brokers and start again"
    )]
    Silent {
        /// Events read.
        done: u64,
        /// Events to read.
        total: u64,
    },
    /// An event that cannot be taken.
    #[error(transparent)]
    Incoming(#[from] IncomingError),
    /// The new store cannot be written or read back.
    #[error("the new store cannot be built: {0}")]
    Rebuild(Box<TakeError>),
    /// The new store cannot be opened or closed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

impl From<TakeError> for RecoverError {
    fn from(error: TakeError) -> Self {
        Self::Rebuild(Box::new(error))
    }
}

/// Rebuilds the store and puts it in the place of the old one. Returns what the log ends with, per partition.
pub(crate) fn recover<A: Aggregate>(
    kafka: &Kafka,
    directory: &Directory,
    partitions: i32,
    cache_bytes: u64,
) -> Result<Vec<Option<Tail>>, RecoverError> {
    let began = Instant::now();
    let ends = ends(kafka, A::TOPIC, partitions)?;
    let mut old = OldOutbox::open(&directory.store(), partitions, cache_bytes);
    let store = Store::open(&directory.recovering()?, cache_bytes)?;
    let mut rebuild = Rebuild::new(&store, partitions);
    read::<A>(&mut rebuild, &mut old, kafka, &ends)?;
    let tails = rebuild.tails();
    let taken = match &old {
        OldOutbox::Open(old) => take_over::<A>(old, &mut rebuild, &tails)?,
        OldOutbox::Absent | OldOutbox::Unreadable(_) => Vec::new(),
    };
    rebuild.claim_unique_keys::<A>()?;
    rebuild.finish(&tails)?;
    let events = rebuild.done;
    store.close()?;
    old.close();
    let aside = directory.replace_store()?;
    report(&kafka.topic_name(A::TOPIC), &old, aside.as_deref(), &taken);
    let seconds = began.elapsed().as_secs_f64();
    tracing::info!(topic = A::TOPIC, events, seconds, "the store was rebuilt from the log");
    Ok(tails)
}

fn ends(kafka: &Kafka, topic: &str, partitions: i32) -> Result<Vec<i64>, RecoverError> {
    let all: Vec<_> = (0..partitions).map(|partition| (topic, partition)).collect();
    let watermarks = topics::all_watermarks(kafka, &all)?;
    for (partition, marks) in (0..).zip(&watermarks) {
        if marks.low > 0 {
            let topic = kafka.topic_name(topic);
            return Err(TopicError::FrontDeleted { topic, partition, low: marks.low }.into());
        }
    }
    Ok(watermarks.iter().map(|marks| marks.high).collect())
}

/// Reads every partition up to its end, and compares it with what the old outbox still has.
fn read<A: Aggregate>(
    rebuild: &mut Rebuild<'_>,
    old: &mut OldOutbox,
    kafka: &Kafka,
    ends: &[i64],
) -> Result<(), RecoverError> {
    let start = |partition| Start { topic: A::TOPIC.to_owned(), partition, offset: 0 };
    let starts: Vec<_> = (0..ends.len() as i32).map(start).collect();
    let reader = Reader::open(kafka, &starts)?;
    let total = ends.iter().sum::<i64>().unsigned_abs();
    let mut open: Vec<bool> = ends.iter().map(|end| *end > 0).collect();
    let (mut heard_at, mut told_at) = (Instant::now(), Instant::now());
    while open.contains(&true) {
        match reader.poll(POLL_TIMEOUT)? {
            Polled::Record(record) => {
                heard_at = Instant::now();
                let taken = rebuild.take::<A>(&record).map_err(|error| located(error, &record, kafka))?;
                if let Some(logged) = taken {
                    old.compare(record.partition(), logged);
                }
            }
            Polled::End { source } => open[source] = false,
            Polled::Nothing if heard_at.elapsed() > SILENCE_MAX => {
                return Err(RecoverError::Silent { done: rebuild.done, total });
            }
            Polled::Nothing => {}
        }
        if told_at.elapsed() >= PROGRESS_PAUSE {
            told_at = Instant::now();
            tracing::info!(topic = A::TOPIC, done = rebuild.done, total, "rebuilding the store from the log");
        }
    }
    Ok(())
}

fn located(error: TakeError, record: &Record<'_>, kafka: &Kafka) -> RecoverError {
    match error {
        TakeError::Fault(fault) => {
            IncomingError { at: incoming::at(record, &kafka.topic_prefix), fault: Box::new(fault) }.into()
        }
        error => error.into(),
    }
}
