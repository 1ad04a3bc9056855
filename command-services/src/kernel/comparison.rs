//! The comparison of the own store with the log, on Kafka: at every start, and whenever the log may have changed.

use event_log::topics::TopicError;
use event_log::{Kafka, LogError};

use super::group::GroupError;
use super::incoming::IncomingError;
use super::keys;
use super::log_tail::{Compared, Resume, Tail, TailError, compare};
use super::recorded::{self, Recorded};
use super::rows::{Counter, encode_reached};
use super::store::Store;
use super::writer::OwnLog;

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
    /// The log ends with something that this service did not write.
    #[error(transparent)]
    Incoming(#[from] IncomingError),
}

impl From<LogError> for CompareError {
    fn from(error: LogError) -> Self {
        Self::Topic(error.into())
    }
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

    /// A directory without a store has no business with a topic that has events.
    pub(crate) fn refuse_to_begin_anew(&self, tails: &[Option<Tail>]) -> Result<(), CompareError> {
        let nothing = Recorded { counter: Counter::default(), sent: 0, kept_from: 0 };
        let topic = self.full_name();
        for (partition, tail) in (0..).zip(tails) {
            compare(&Compared { topic: &topic, partition, dir: &self.dir }, &nothing, *tail, None)?;
        }
        Ok(())
    }

    /// Compares store and log without changing anything.
    pub(crate) fn compare(
        &self,
        store: &Store,
        tails: &[Option<Tail>],
    ) -> Result<Vec<(Recorded, Resume)>, CompareError> {
        let topic = self.full_name();
        let mut compared = Vec::new();
        for (partition, tail) in (0..).zip(tails) {
            let recorded = recorded::recorded(store, partition)?;
            let kept =
                tail.map(|tail| recorded::kept_id(store, partition, tail.position)).transpose()?.flatten();
            let at = Compared { topic: &topic, partition, dir: &self.dir };
            let resume = compare(&at, &recorded, *tail, kept)?;
            compared.push((recorded, resume));
        }
        Ok(compared)
    }

    /// Per partition: the positions that the log has, which the relay goes on behind. Says loudly what the log has lost,
    /// and notes in the store what is to be sent again, and where the last event lies: the next comparison begins there.
    pub(crate) fn resume(&self, store: &Store, log: &OwnLog) -> Result<Vec<u64>, CompareError> {
        let topic = self.full_name();
        let compared = self.compare(store, &log.tails())?;
        let mut writes = Vec::new();
        let marks = recorded::marks(store, self.partitions)?;
        for ((partition, reached), mark) in (0..).zip(log.reached()).zip(marks) {
            if reached.last_id.is_some() && reached != mark {
                writes.push((keys::mark(partition), Some(encode_reached(&reached))));
            }
        }
        for (partition, (recorded, resume)) in (0..).zip(&compared) {
            tell(&topic, partition, recorded, *resume);
            if resume.sent != recorded.sent {
                writes.push((keys::sent(partition), Some(resume.sent.to_be_bytes().to_vec())));
            }
        }
        if !writes.is_empty() {
            store.apply(writes).map_err(GroupError::from)?;
        }
        Ok(compared.iter().map(|(_, resume)| resume.sent).collect())
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
