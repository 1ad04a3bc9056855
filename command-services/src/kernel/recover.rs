//! `--recover`: the store rebuilt from the own topic, from offset zero to this process's claims, beside the old one.
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
use event_log::{Kafka, LogError, Record, Span, Start, read_spans};

use super::aggregate::Aggregate;
use super::directory::{Directory, DirectoryError, index_of};
use super::incoming::{self, IncomingError};
use super::log_tail::Tail;
use super::store::{Store, StoreError};
use old_outbox::OldOutbox;
use rebuild::Rebuild;
use report::report;
use take_over::take_over;

pub use rebuild::TakeError;

/// How long the log may stay silent before that counts as a failure.
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
    /// What was read is not what was compared before.
    #[error(
        "topic {topic} partition {partition} had {compared} event(s) when this process claimed it, and now has {read}: its \
         end is lost or was written anew; check the brokers' logs and start again"
    )]
    Changed {
        /// Full name of the topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Events up to the claim as it was read back.
        compared: u64,
        /// Events that were read now.
        read: u64,
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

/// What the own topic holds up to this process's claims, as it was read when they were made.
pub(crate) struct UpTo<'a> {
    /// Right behind the claims.
    pub(crate) ends: &'a [i64],
    /// The last event of every partition.
    pub(crate) tails: &'a [Option<Tail>],
}

/// Rebuilds the store from exactly that and puts it in the place of the old one.
pub(crate) fn recover<A: Aggregate>(
    kafka: &Kafka,
    directory: &Directory,
    up_to: &UpTo<'_>,
    cache_bytes: u64,
) -> Result<(), RecoverError> {
    let began = Instant::now();
    let partitions = up_to.ends.len() as i32;
    let topic = kafka.topic_name(A::TOPIC);
    refuse_front_deleted(kafka, A::TOPIC, partitions)?;
    let mut old = OldOutbox::open(&directory.store(), partitions, cache_bytes);
    let store = Store::open(&index_of(&directory.recovering()?), cache_bytes)?;
    let mut rebuild = Rebuild::new(&store, partitions);
    read::<A>(&mut rebuild, &mut old, kafka, up_to.ends)?;
    let tails = rebuild.tails();
    refuse_changed(&topic, up_to.tails, &tails)?;
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
    report(&topic, &old, aside.as_deref(), &taken);
    let seconds = began.elapsed().as_secs_f64();
    tracing::info!(topic = A::TOPIC, events, seconds, "the store was rebuilt from the log");
    Ok(())
}

fn refuse_front_deleted(kafka: &Kafka, topic: &str, partitions: i32) -> Result<(), RecoverError> {
    let all: Vec<_> = (0..partitions).map(|partition| (topic, partition)).collect();
    for (partition, marks) in (0..).zip(topics::all_watermarks(kafka, &all)?) {
        if marks.low > 0 {
            let topic = kafka.topic_name(topic);
            return Err(TopicError::FrontDeleted { topic, partition, low: marks.low }.into());
        }
    }
    Ok(())
}

/// A store that is shorter than the log would give positions out anew.
fn refuse_changed(topic: &str, compared: &[Option<Tail>], read: &[Option<Tail>]) -> Result<(), RecoverError> {
    let events = |tail: &Option<Tail>| tail.map_or(0, |tail| tail.position + 1);
    let mut both = (0..).zip(compared.iter().zip(read));
    match both.find(|(_, (compared, read))| compared != read) {
        None => Ok(()),
        Some((partition, (compared, read))) => {
            let (topic, compared, read) = (topic.to_owned(), events(compared), events(read));
            Err(RecoverError::Changed { topic, partition, compared, read })
        }
    }
}

/// Reads every partition up to these offsets, and compares it with what the old outbox still has.
fn read<A: Aggregate>(
    rebuild: &mut Rebuild<'_>,
    old: &mut OldOutbox,
    kafka: &Kafka,
    ends: &[i64],
) -> Result<(), RecoverError> {
    let span = |(partition, end): (i32, &i64)| Span {
        start: Start { topic: A::TOPIC.to_owned(), partition, offset: 0 },
        end: *end,
    };
    let spans: Vec<_> = (0..).zip(ends).map(span).collect();
    let total = ends.iter().sum::<i64>();
    let mut told_at = Instant::now();
    read_spans(kafka, &spans, SILENCE_MAX, |record| {
        let taken = rebuild.take::<A>(record).map_err(|error| located(error, record, kafka))?;
        if let Some(logged) = taken {
            old.compare(record.partition(), logged);
        }
        if told_at.elapsed() >= PROGRESS_PAUSE {
            told_at = Instant::now();
            tracing::info!(topic = A::TOPIC, done = rebuild.done, total, "rebuilding the store from the log");
        }
        Ok(())
    })
}

fn located(error: TakeError, record: &Record<'_>, kafka: &Kafka) -> RecoverError {
    match error {
        TakeError::Fault(fault) => {
            IncomingError { at: incoming::at(record, &kafka.topic_prefix), fault: Box::new(fault) }.into()
        }
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_rebuilt_store_that_is_not_what_the_claim_was_compared_with_is_refused() {
        let tail = |position, id| Some(Tail { position, id: Uuid::from_u128(id) });
        let compared = [None, tail(4, 1)];
        refuse_changed("t", &compared, &compared).unwrap();
        let said = refuse_changed("t", &compared, &[None, tail(3, 2)]).unwrap_err().to_string();
        assert!(said.contains("topic t partition 1 had 5 event(s)") && said.contains("now has 4"), "{said}");
        assert!(refuse_changed("t", &compared, &[None, tail(4, 3)]).is_err(), "another event");
        assert!(refuse_changed("t", &compared, &[tail(0, 3), tail(4, 1)]).is_err());
    }
}
