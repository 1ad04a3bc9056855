//! The comparison of the own store with the log, on Kafka: at every start, and whenever the log may have changed.

use std::thread;

use event_log::Kafka;
use event_log::topics::{self, TopicError};
use schemas::envelope;

use super::group::GroupError;
use super::incoming::{self, At, IncomingError, IncomingFault};
use super::keys;
use super::log_tail::{Compared, Resume, Tail, TailError, compare};
use super::recorded::{self, Recorded};
use super::rows::Counter;
use super::store::Store;

/// Partitions whose last records are looked at together; each costs a client with its threads.
const TAILS_AT_ONCE_MAX: usize = 16;

/// Why store and log could not be compared, or do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The topic cannot be looked at.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The store cannot be read or written, or is damaged.
    #[error("{0}")]
    Store(#[from] GroupError),
    /// They do not fit together.
    #[error(transparent)]
    Tail(#[from] TailError),
    /// The log ends with something that is not an event of this service.
    #[error(transparent)]
    Incoming(#[from] IncomingError),
    /// A mistake of this program.
    #[error("the log could not be compared: a thread met a fault of this program, its log says more")]
    Panicked,
}

/// A service's own topic.
#[derive(Debug, Clone)]
pub(crate) struct OwnTopic {
    pub(crate) kafka: Kafka,
    /// Bare name.
    pub(crate) topic: &'static str,
    /// The only service that may write it.
    pub(crate) service: &'static str,
    pub(crate) partitions: i32,
    /// The service's directory, for what an error says.
    pub(crate) dir: String,
}

impl OwnTopic {
    /// Full name.
    pub(crate) fn full_name(&self) -> String {
        self.kafka.topic_name(self.topic)
    }

    /// The last event of every partition. Several at once: each takes a connection and some round trips.
    pub(crate) fn tails(&self) -> Result<Vec<Option<Tail>>, CompareError> {
        let all: Vec<i32> = (0..self.partitions).collect();
        let mut tails = Vec::with_capacity(all.len());
        for some in all.chunks(TAILS_AT_ONCE_MAX) {
            let found: Vec<_> = thread::scope(|scope| {
                let look = |partition: i32| scope.spawn(move || self.tail(partition));
                let looking: Vec<_> = some.iter().copied().map(look).collect();
                looking.into_iter().map(|tail| tail.join().unwrap_or(Err(CompareError::Panicked))).collect()
            });
            tails.extend(found);
        }
        tails.into_iter().collect()
    }

    fn tail(&self, partition: i32) -> Result<Option<Tail>, CompareError> {
        let Some(record) = topics::tail_record(&self.kafka, self.topic, partition)? else { return Ok(None) };
        let located = |fault| IncomingError {
            at: At { topic: self.full_name(), partition, offset: record.offset },
            fault: Box::new(fault),
        };
        let envelope = envelope::open(record.value.as_deref(), || record.headers.clone())
            .map_err(|error| located(IncomingFault::Envelope(error)))?;
        incoming::check_source(&envelope, self.service, partition).map_err(located)?;
        Ok(Some(Tail { position: envelope.position, id: envelope.id }))
    }

    /// A directory without a store has no business with a topic that has events.
    pub(crate) fn refuse_to_begin_anew(&self, tails: &[Option<Tail>]) -> Result<(), CompareError> {
        let nothing = Recorded { counter: Counter::default(), sent: 0, kept_from: 0 };
        let topic = self.full_name();
        for (partition, tail) in (0..).zip(tails) {
            compare(&Compared { topic: &topic, partition, dir: &self.dir }, &nothing, *tail, None)?;
        }
        Ok(())
    }

    /// Per partition: the positions that the log has, which the relay goes on behind. Says loudly what the log has lost,
    /// and notes in the store what is to be sent again.
    pub(crate) fn resume(&self, store: &Store, tails: &[Option<Tail>]) -> Result<Vec<u64>, CompareError> {
        let topic = self.full_name();
        let mut writes = Vec::new();
        let mut sent = Vec::new();
        for (partition, tail) in (0..).zip(tails) {
            let recorded = recorded::recorded(store, partition)?;
            let kept =
                tail.map(|tail| recorded::kept_id(store, partition, tail.position)).transpose()?.flatten();
            let at = Compared { topic: &topic, partition, dir: &self.dir };
            let resume = compare(&at, &recorded, *tail, kept)?;
            tell(&topic, partition, &recorded, resume);
            if resume.sent != recorded.sent {
                writes.push((keys::sent(partition), Some(resume.sent.to_be_bytes().to_vec())));
            }
            sent.push(resume.sent);
        }
        if !writes.is_empty() {
            store.apply(writes).map_err(GroupError::from)?;
        }
        Ok(sent)
    }
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
