//! `--recover`: the store rebuilt from the own topic, from offset zero to its end, beside the old one.
//!
//! What the log does not have is not rebuilt: idempotency keys are forgotten, sent rows are no longer kept.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use event_log::topics::{self, TopicError};
use event_log::{Kafka, LogError, Polled, Reader, Record, Start};
use schemas::envelope::Envelope;
use schemas::event_data::EventData as _;
use schemas::sequence::Sequence;
use uuid::Uuid;

use super::aggregate::Aggregate;
use super::directory::{Directory, DirectoryError};
use super::fields::Damaged;
use super::incoming::{self, IncomingError, IncomingFault};
use super::keys;
use super::rows::{Counter, Versioned, decode_owner};
use super::store::{Store, StoreError};

/// Writes applied together; sled's memory grows with the batch.
const BATCH_WRITES_MAX: usize = 1_000;
/// Aggregates whose unique keys are written together.
const SCAN_ROWS_MAX: usize = 500;
/// How long one poll waits before the end of the log is looked for again.
const POLL_TIMEOUT: Duration = Duration::from_millis(500);
/// How long the log may stay silent before its end before that counts as a failure.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How often progress is told.
const PROGRESS_PAUSE: Duration = Duration::from_secs(3);

/// Why the store could not be rebuilt. The old one is untouched then.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The topic cannot be inspected.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log no longer has its beginning.
    #[error(
        "topic {topic} partition {partition} begins at offset {low}: its first events are gone, so the store cannot be rebuilt \
         from it; restore the topic from a backup"
    )]
    Beginning {
        /// Full name.
        topic: String,
        /// The partition.
        partition: i32,
        /// The first offset it has.
        low: i64,
    },
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

/// Why one event could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The event itself.
    #[error(transparent)]
    Fault(#[from] IncomingFault),
    /// The new store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The new store cannot be read back.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// A state cannot be written as JSON.
    #[error("a rebuilt state cannot be written: {0}")]
    State(#[from] serde_json::Error),
}

impl From<TakeError> for RecoverError {
    fn from(error: TakeError) -> Self {
        Self::Rebuild(Box::new(error))
    }
}

/// Rebuilds the store and puts it in the place of the old one.
pub(crate) fn recover<A: Aggregate>(
    kafka: &Kafka,
    directory: &Directory,
    partitions: i32,
    cache_bytes: u64,
) -> Result<(), RecoverError> {
    let ends = ends(kafka, A::TOPIC, partitions)?;
    let store = Store::open(&directory.recovering()?, cache_bytes)?;
    let mut rebuild = Rebuild::new(&store, partitions);
    rebuild.read::<A>(kafka, &ends)?;
    rebuild.claim_unique_keys::<A>()?;
    rebuild.finish()?;
    store.close()?;
    let aside = directory.replace_store()?;
    let aside = aside.map_or_else(|| "none".to_owned(), |path| path.display().to_string());
    tracing::info!(
        topic = A::TOPIC,
        events = rebuild.done,
        old_store = aside,
        "the store was rebuilt from the log"
    );
    Ok(())
}

fn ends(kafka: &Kafka, topic: &str, partitions: i32) -> Result<Vec<i64>, RecoverError> {
    let all: Vec<_> = (0..partitions).map(|partition| (topic, partition)).collect();
    let watermarks = topics::all_watermarks(kafka, &all)?;
    for (partition, marks) in (0..).zip(&watermarks) {
        if marks.low > 0 {
            let topic = kafka.topic_name(topic);
            return Err(RecoverError::Beginning { topic, partition, low: marks.low });
        }
    }
    Ok(watermarks.iter().map(|marks| marks.high).collect())
}

/// The store that is being built, and what of it is not applied yet.
struct Rebuild<'s> {
    store: &'s Store,
    pending: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    sequences: Vec<Sequence>,
    done: u64,
    told_at: Instant,
}

impl<'s> Rebuild<'s> {
    fn new(store: &'s Store, partitions: i32) -> Self {
        let sequences = (0..partitions).map(|_| Sequence::start()).collect();
        Self { store, pending: BTreeMap::new(), sequences, done: 0, told_at: Instant::now() }
    }

    fn read<A: Aggregate>(&mut self, kafka: &Kafka, ends: &[i64]) -> Result<(), RecoverError> {
        let start = |partition| Start { topic: A::TOPIC.to_owned(), partition, offset: 0 };
        let starts: Vec<_> = (0..ends.len() as i32).map(start).collect();
        let total = ends.iter().sum::<i64>().unsigned_abs();
        let reader = Reader::open(kafka, &starts)?;
        let mut open: Vec<bool> = ends.iter().map(|end| *end > 0).collect();
        let mut heard_at = Instant::now();
        while open.contains(&true) {
            match reader.poll(POLL_TIMEOUT)? {
                Polled::Record(record) => {
                    heard_at = Instant::now();
                    self.take::<A>(&record).map_err(|error| located(error, &record, kafka))?;
                    self.tell(A::TOPIC, total);
                }
                Polled::End { source } => open[source] = false,
                Polled::Nothing if heard_at.elapsed() > SILENCE_MAX => {
                    return Err(RecoverError::Silent { done: self.done, total });
                }
                Polled::Nothing => {}
            }
        }
        Ok(())
    }

    fn take<A: Aggregate>(&mut self, record: &Record<'_>) -> Result<(), TakeError> {
        let sequence = &self.sequences[record.source()];
        let Some(envelope) = incoming::open(record, A::SERVICE, sequence)? else { return Ok(()) };
        let id = envelope.id;
        let event = A::Event::from_data(&envelope.event_type, &envelope.data)
            .map_err(|source| IncomingFault::Data { id, source })?;
        self.evolve::<A>(&envelope, &event)?;
        self.sequences[record.source()].advance(id);
        self.done += 1;
        if self.pending.len() >= BATCH_WRITES_MAX {
            self.apply()?;
        }
        Ok(())
    }

    fn evolve<A: Aggregate>(&mut self, envelope: &Envelope<'_>, event: &A::Event) -> Result<(), TakeError> {
        let (id, subject, version) = (envelope.id, envelope.subject, envelope.aggregate_version);
        let row = self.get(&keys::aggregate(subject))?;
        let before = row.map(|row| Versioned::<A::State>::decode(&row)).transpose()?;
        let expected = before.as_ref().map_or(0, |before| before.version) + 1;
        if version != expected {
            return Err(IncomingFault::Version { id, subject, found: version, expected }.into());
        }
        let state = A::evolve(before.map(|before| before.state), event);
        self.pending.insert(keys::aggregate(subject), Some(Versioned { version, state }.encode()?));
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.pending.get(key) {
            Some(pending) => Ok(pending.clone()),
            None => Ok(self.store.get(key)?.map(|value| value.to_vec())),
        }
    }

    fn apply(&mut self) -> Result<(), StoreError> {
        let writes = std::mem::take(&mut self.pending);
        self.store.apply(writes.into_iter().collect())
    }

    /// Unique keys follow from the final states only. They cannot be built while reading: a key that passed from one
    /// aggregate to another of another partition would depend on how the partitions come in.
    fn claim_unique_keys<A: Aggregate>(&mut self) -> Result<(), TakeError> {
        self.apply()?;
        let mut span = keys::aggregates();
        loop {
            let rows = self.store.scan(&span, SCAN_ROWS_MAX)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            span.0 = [last, &[0][..]].concat();
            for (key, row) in &rows {
                self.claim::<A>(keys::aggregate_id(key), &Versioned::decode(row)?)?;
            }
            self.apply()?;
        }
    }

    fn claim<A: Aggregate>(&mut self, id: Uuid, row: &Versioned<A::State>) -> Result<(), TakeError> {
        for unique in A::unique_keys(&row.state) {
            let key = keys::unique(&unique);
            if let Some(owner) = self.get(&key)? {
                let owner = decode_owner(&owner)?;
                tracing::error!(unique, %owner, other = %id, "two aggregates have one unique key; the first keeps it");
                continue;
            }
            self.pending.insert(key, Some(id.as_bytes().to_vec()));
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), TakeError> {
        for (partition, sequence) in (0..).zip(&self.sequences) {
            let counter = Counter { next: sequence.next_position(), last_id: sequence.last_id() };
            if counter.next > 0 {
                self.pending.insert(keys::counter(partition), Some(counter.encode()));
                self.pending.insert(keys::sent(partition), Some(counter.next.to_be_bytes().to_vec()));
            }
        }
        self.apply()?;
        Ok(self.store.sync()?)
    }

    fn tell(&mut self, topic: &str, total: u64) {
        if self.told_at.elapsed() >= PROGRESS_PAUSE {
            self.told_at = Instant::now();
            tracing::info!(topic, done = self.done, total, "rebuilding the store from the log");
        }
    }
}

fn located(error: TakeError, record: &Record<'_>, kafka: &Kafka) -> RecoverError {
    match error {
        TakeError::Fault(fault) => {
            IncomingError { at: incoming::at(record, &kafka.topic_prefix), fault: Box::new(fault) }.into()
        }
        error => error.into(),
    }
}
