//! Why a record of a topic cannot be taken, its own service's or another's.

use daybook_event::envelope::OpenError;
use daybook_event::sequence::SequenceError;
use daybook_kafka::Record;
use daybook_stream::{Discontinuity, Placed, RecordView, Unowned};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "topic {} partition {} offset {}", self.topic, self.partition, self.offset)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {fault}")]
pub struct IncomingError {
    pub at: At,
    pub fault: Box<IncomingFault>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IncomingFault {
    #[error("{0}; find out who wrote it")]
    Unowned(#[from] Unowned),
    #[error(
        "position {position} is at offset {offset}, of key {key}, and cannot be read there ({why}), so what it changed is not known; restore \
         the topic from a replica or a backup"
    )]
    Garbled { position: u64, offset: i64, key: String, why: Unowned },
    #[error("event {id} cannot be read: {why}")]
    Data { id: Uuid, why: String },
    #[error(
        "event {id} of {subject} waits behind one that cannot be read, but {bound}; start a version of this service that reads it"
    )]
    QuarantineFull { id: Uuid, subject: Uuid, bound: &'static str },
    #[error(
        "event {id} does not continue the log: {source}; restore the topic from a replica or a backup, then start again"
    )]
    Sequence { id: Uuid, source: SequenceError },
    #[error(
        "event {id} makes version {found} of {subject}, expected {expected}: two writers, or a broken one, wrote this topic"
    )]
    Version { id: Uuid, subject: Uuid, found: u64, expected: u64 },
}

impl IncomingFault {
    pub(crate) fn is_gap(&self) -> bool {
        matches!(self, Self::Sequence { source: SequenceError::Gap { .. }, .. })
    }
}

/// Where a record lies. Made for errors only.
pub(crate) fn at(record: &Record<'_>, prefix: &str) -> At {
    At {
        topic: format!("{prefix}{}", record.topic()),
        partition: record.partition(),
        offset: record.offset(),
    }
}

pub(crate) fn view<'r>(record: &'r Record<'_>) -> RecordView<'r> {
    RecordView { offset: record.offset(), key: record.key(), value: record.value() }
}

impl From<Discontinuity> for IncomingFault {
    fn from(refusal: Discontinuity) -> Self {
        let Discontinuity { id, error } = refusal;
        Self::Sequence { id, source: error }
    }
}

impl From<OpenError> for IncomingFault {
    fn from(error: OpenError) -> Self {
        Self::Unowned(error.into())
    }
}

impl IncomingFault {
    /// A store cannot be rebuilt over an event that nobody can read.
    pub(crate) fn garbled(placed: &Placed) -> Self {
        let Placed { position, offset, key, why, .. } = placed;
        Self::Garbled { position: *position, offset: *offset, key: key.clone(), why: why.clone() }
    }
}
