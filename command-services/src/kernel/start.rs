//! What happens before a service takes its first command: directory, topic, store, and the comparison with the log.

use std::sync::Arc;
use std::thread;

use event_log::topics::{self, TopicError, TopicSpec};
use event_log::{Kafka, LogError};
use schemas::envelope;

use super::aggregate::Aggregate;
use super::directory::{Directory, DirectoryError, Marker};
use super::group::GroupError;
use super::incoming::{self, At, IncomingError, IncomingFault};
use super::keys::{self, LAYOUT};
use super::log_tail::{Compared, Resume, Tail, TailError, compare};
use super::recorded::{self, Recorded};
use super::recover::{self, RecoverError};
use super::rows::Counter;
use super::settings::Settings;
use super::store::{Store, StoreError};

/// Partitions whose last records are looked at together; each costs a client with its threads.
const TAILS_AT_ONCE_MAX: usize = 16;

/// Why a service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Kafka cannot be reached.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Its topic cannot be used.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// Its store cannot be opened or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its store is damaged.
    #[error("{0}")]
    Damaged(String),
    /// Log and store do not fit together.
    #[error(transparent)]
    Tail(#[from] TailError),
    /// The log ends with something that is not an event of this service.
    #[error(transparent)]
    Incoming(#[from] IncomingError),
    /// A mistake of this program.
    #[error("the log could not be compared: a thread met a fault of this program, its log says more")]
    Panicked,
    /// The store could not be rebuilt.
    #[error("--recover did not succeed, the old store is untouched: {0}")]
    Recover(#[from] RecoverError),
}

impl From<GroupError> for StartError {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Store(error) => Self::Store(error),
            GroupError::Damaged(damaged) => Self::Damaged(damaged.to_string()),
        }
    }
}

/// A service that may begin.
pub(crate) struct Started {
    /// Held as long as the service runs.
    pub(crate) directory: Directory,
    pub(crate) store: Arc<Store>,
    pub(crate) counters: Vec<Counter>,
    /// Per partition: positions that the log has.
    pub(crate) sent: Vec<u64>,
}

/// Opens everything and compares it. Blocks.
pub(crate) fn start<A: Aggregate>(settings: &Settings) -> Result<Started, StartError> {
    let (kafka, partitions) = (&settings.kafka, settings.partitions);
    let marker = Marker {
        service: A::SERVICE.to_owned(),
        layout: LAYOUT,
        topic: kafka.topic_name(A::TOPIC),
        partitions,
    };
    let directory = Directory::open(&settings.data_dir, A::SERVICE)?;
    let marked = directory.check_marker(&marker)?;
    topics::wait_reachable(kafka, settings.limits.start_timeout)?;
    let spec = TopicSpec { partitions, replication_factor: settings.replication_factor };
    topics::ensure(kafka, A::TOPIC, &spec)?;
    let tails = tails::<A>(kafka, partitions)?;
    let dir = settings.data_dir.display().to_string();
    if !marked && !settings.recover {
        refuse_to_begin_anew(&marker.topic, &dir, &tails)?;
    }
    if !marked {
        directory.write_marker(&marker)?;
    }
    if settings.recover {
        recover::recover::<A>(kafka, &directory, partitions, settings.limits.cache_bytes_max)?;
    }
    let store = Store::open(&directory.store(), settings.limits.cache_bytes_max)?;
    let sent = compare_all(&store, &marker.topic, &dir, &tails)?;
    let counters = recorded::counters(&store, tails.len())?;
    Ok(Started { directory, store: Arc::new(store), counters, sent })
}

/// A directory without a store has no business with a topic that has events; nothing is written then.
fn refuse_to_begin_anew(topic: &str, dir: &str, tails: &[Option<Tail>]) -> Result<(), TailError> {
    let nothing = Recorded { counter: Counter::default(), sent: 0, kept_from: 0 };
    for (partition, tail) in (0..).zip(tails) {
        compare(&Compared { topic, partition, dir }, &nothing, *tail, None)?;
    }
    Ok(())
}

fn compare_all(
    store: &Store,
    topic: &str,
    dir: &str,
    tails: &[Option<Tail>],
) -> Result<Vec<u64>, StartError> {
    let mut writes = Vec::new();
    let mut sent = Vec::new();
    for (partition, tail) in (0..).zip(tails) {
        let recorded = recorded::recorded(store, partition)?;
        let kept = tail.map(|tail| recorded::kept_id(store, partition, tail.position)).transpose()?.flatten();
        let resume = compare(&Compared { topic, partition, dir }, &recorded, *tail, kept)?;
        tell(topic, partition, &recorded, resume);
        if resume.sent != recorded.sent {
            writes.push((keys::sent(partition), Some(resume.sent.to_be_bytes().to_vec())));
        }
        sent.push(resume.sent);
    }
    if !writes.is_empty() {
        store.apply(writes)?;
    }
    Ok(sent)
}

fn tell(topic: &str, partition: i32, recorded: &Recorded, resume: Resume) {
    if resume.lost > 0 {
        tracing::warn!(
            topic,
            partition,
            from_position = resume.sent,
            to_position = recorded.sent - 1,
            "the log has lost its end, which Kafka had acknowledged; the events are sent again from the outbox"
        );
    }
}

/// Several at once: each takes a connection and some round trips.
fn tails<A: Aggregate>(kafka: &Kafka, partitions: i32) -> Result<Vec<Option<Tail>>, StartError> {
    let all: Vec<i32> = (0..partitions).collect();
    let mut tails = Vec::with_capacity(all.len());
    for some in all.chunks(TAILS_AT_ONCE_MAX) {
        let found: Vec<_> = thread::scope(|scope| {
            let look = |partition: i32| scope.spawn(move || tail::<A>(kafka, partition));
            let looking: Vec<_> = some.iter().copied().map(look).collect();
            looking.into_iter().map(|tail| tail.join().unwrap_or(Err(StartError::Panicked))).collect()
        });
        tails.extend(found);
    }
    tails.into_iter().collect()
}

fn tail<A: Aggregate>(kafka: &Kafka, partition: i32) -> Result<Option<Tail>, StartError> {
    let Some(record) = topics::tail_record(kafka, A::TOPIC, partition)? else { return Ok(None) };
    let located = |fault| IncomingError {
        at: At { topic: kafka.topic_name(A::TOPIC), partition, offset: record.offset },
        fault: Box::new(fault),
    };
    let envelope = envelope::open(record.value.as_deref(), || record.headers.clone())
        .map_err(|error| located(IncomingFault::Envelope(error)))?;
    incoming::check_source(&envelope, A::SERVICE, partition).map_err(located)?;
    Ok(Some(Tail { position: envelope.position, id: envelope.id }))
}
