//! Why a projection stopped, as one sentence with the place and the remedy.

use std::fmt;

use daybook_event::event_data::{DataError, EventError};
use daybook_event::problem::ProblemType;
use daybook_event::sequence::SequenceError;
use daybook_kafka::LogError;
use daybook_service::http::problem_types as kind;
use daybook_stream::Unowned;
use uuid::Uuid;

use super::store::{Failure, ReadError, StoreError};
use super::view::FoldError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordAt {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// Id of the event, if its envelope could be opened.
    pub event_id: Option<Uuid>,
}

impl fmt::Display for RecordAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} offset {}", self.topic, self.partition, self.offset)?;
        self.event_id.map_or(Ok(()), |id| write!(f, ", event {id}"))
    }
}

/// Why a projection stopped. Everything before the named record has been committed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StopReason {
    #[error(
        "{at}: {error}. The log is not what the service wrote, or --brokers or --topic-prefix name another log: compare the partition with its backup or with the service's store, repair the log, then start again; to start over from this log, run `projector --replay --accept-difference WHY`"
    )]
    Sequence { at: Box<RecordAt>, error: SequenceError },
    #[error(
        "{at}: {error}. Remove the record from the log by creating the topic again without it, then start again; or start a version of this program that reads it"
    )]
    Unreadable { at: Box<RecordAt>, error: EventError },
    #[error("{at}: {error}. Start a version of this program that knows the type")]
    UnknownEvent { at: Box<RecordAt>, error: DataError },
    #[error(
        "{at}: this program does not project the topic: the read model was built by another one. Rebuild with `projector --replay`"
    )]
    UnknownTopic { at: Box<RecordAt> },
    #[error(
        "{at}: the event's source is {found}, this partition takes events of {expected} only: another service wrote here. Find that writer and stop it, remove its records from the log, then start again"
    )]
    ForeignSource { at: Box<RecordAt>, found: String, expected: String },
    #[error(
        "{at}: {error}. Start a version of this program that can project it, or rebuild with `projector --replay`"
    )]
    Fold { at: Box<RecordAt>, error: FoldError },
    #[error(
        "{at}: an earlier event of key {key} could not be projected, so this one has to wait, but {bound}. Start a version of this program that projects the earlier one and run `projector --release {key}`, or leave the earlier one out with `projector --skip-event`"
    )]
    QuarantineFull { at: Box<RecordAt>, key: String, bound: String },
    #[error("{at}: the log begins at offset {low} only; the events before it were deleted. {}", front_remedy(*embedded))]
    FrontDeleted { at: Box<RecordAt>, low: i64, embedded: bool },
    #[error(
        "{at}: the log ends at offset {high}, but it was projected further: the topic was created again or lost its end, or --brokers or --topic-prefix name another log. Restore the topic, or let the service send again what is missing; to start over from this log, run `projector --replay --accept-difference WHY`"
    )]
    LogWentBack { at: Box<RecordAt>, high: i64 },
    #[error(
        "topic {topic} has {found} partitions, the read model was built from {expected}: keys have moved. Restore the topic with {expected} partitions; or give all topics {found}, since they need the same number, and rebuild with `projector --replay --partitions {found} --accept-difference WHY`"
    )]
    PartitionsChanged { topic: String, found: i32, expected: i32 },
    #[error("{error}")]
    Log { error: String, passes: bool },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the follower ended without a reason: {detail}. Restart the process, and report this")]
    Defect { detail: String },
}

fn front_remedy(embedded: bool) -> &'static str {
    if embedded {
        "This is the embedded broker, which keeps only the last few thousand events of a partition: use a real Kafka with --brokers, or `docker compose up`"
    } else {
        "Restore the topic from a backup, and set its retention.ms and retention.bytes to -1"
    }
}

impl StopReason {
    /// Short name of its kind, for metrics.
    pub fn slug(&self) -> &'static str {
        self.problem_type().slug
    }

    pub fn problem_type(&self) -> &'static ProblemType {
        match self {
            Self::Sequence { error: SequenceError::Gap { .. }, .. } => &kind::GAP,
            Self::Sequence { error: SequenceError::Fork { .. }, .. } => &kind::FORK,
            Self::Sequence { error: SequenceError::OtherLog { .. }, .. } => &kind::OTHER_LOG,
            Self::Unreadable { .. } => &kind::UNREADABLE_EVENT,
            Self::UnknownEvent { .. } => &kind::UNKNOWN_EVENT,
            Self::UnknownTopic { .. } => &kind::UNKNOWN_TOPIC,
            Self::ForeignSource { .. } => &kind::FOREIGN_SOURCE,
            Self::Fold { .. } => &kind::CONTRADICTING_EVENT,
            Self::QuarantineFull { .. } => &kind::QUARANTINE_FULL,
            Self::FrontDeleted { .. } => &kind::LOG_FRONT_DELETED,
            Self::LogWentBack { .. } => &kind::LOG_WENT_BACK,
            Self::PartitionsChanged { .. } => &kind::PARTITIONS_CHANGED,
            Self::Log { .. } => &kind::LOG_UNREADABLE,
            Self::Store(_) => &kind::STORE_FAILS,
            Self::Defect { .. } => &kind::DEFECT,
        }
    }

    /// Whether it may pass without another program and without a change of events: the log is then read again after a pause.
    /// A failed write is the store's for good, until it is opened afresh.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Log { passes, .. } => *passes,
            Self::LogWentBack { .. } | Self::FrontDeleted { .. } | Self::PartitionsChanged { .. } => true,
            Self::Store(error) => error.failure == Failure::Other,
            _ => false,
        }
    }

    /// How the store failed, if that is the reason. A row that cannot be read is damage.
    pub fn failure(&self) -> Option<Failure> {
        match self {
            Self::Store(error) => Some(error.failure),
            Self::Fold { error: FoldError::Read(ReadError::Row { .. }), .. } => Some(Failure::Damage),
            _ => None,
        }
    }

    /// A sentence, if rows are damaged: the generation is at fault then, and not the log.
    pub fn damage(&self) -> Option<String> {
        (self.failure() == Some(Failure::Damage)).then(|| self.to_string())
    }

    pub fn at(&self) -> Option<&RecordAt> {
        match self {
            Self::Sequence { at, .. }
            | Self::Unreadable { at, .. }
            | Self::UnknownEvent { at, .. }
            | Self::UnknownTopic { at }
            | Self::ForeignSource { at, .. }
            | Self::Fold { at, .. }
            | Self::QuarantineFull { at, .. }
            | Self::FrontDeleted { at, .. }
            | Self::LogWentBack { at, .. } => Some(at),
            Self::PartitionsChanged { .. } | Self::Log { .. } | Self::Store(_) | Self::Defect { .. } => None,
        }
    }

    pub(super) fn cause(&self) -> String {
        match self {
            Self::Unreadable { error, .. } => error.to_string(),
            Self::UnknownEvent { error, .. } => error.to_string(),
            Self::Fold { error, .. } => error.to_string(),
            Self::ForeignSource { found, expected, .. } => {
                format!("the event's source is {found}, and this partition takes events of {expected} only")
            }
            other => other.to_string(),
        }
    }

    pub(super) fn unreadable(at: Box<RecordAt>, error: EventError) -> Self {
        match error {
            EventError::Data(error @ (DataError::UnknownType { .. } | DataError::FutureVersion { .. })) => {
                Self::UnknownEvent { at, error }
            }
            EventError::Data(DataError::Field { .. }) | EventError::Envelope(_) => {
                Self::Unreadable { at, error }
            }
        }
    }

    /// A record that is no event of its partition's service.
    pub(super) fn unowned(at: Box<RecordAt>, why: Unowned) -> Self {
        match why {
            Unowned::Unreadable(error) => Self::Unreadable { at, error: error.into() },
            Unowned::Foreign { found, expected, .. } => Self::ForeignSource { at, found, expected },
        }
    }

    /// A fold that failed because the store failed is the store's failure, not the event's.
    pub(super) fn fold(at: Box<RecordAt>, error: FoldError) -> Self {
        match error {
            FoldError::Read(ReadError::Store(error)) => Self::Store(error),
            FoldError::Read(ReadError::Row { .. }) | FoldError::Contradiction { .. } => {
                Self::Fold { at, error }
            }
        }
    }
}

impl From<LogError> for StopReason {
    fn from(error: LogError) -> Self {
        Self::Log { passes: error.may_pass(), error: error.to_string() }
    }
}
