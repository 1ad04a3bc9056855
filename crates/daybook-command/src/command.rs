//! One command on its way to the committer, and what comes back.

use daybook_event::problem::Problem;
use daybook_service::http::problem_types::PRECONDITION_FAILED;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::aggregate::Aggregate;
use super::idempotency::IdempotencyKey;
use super::outcome::Outcome;
use super::parked::Parked;
use super::writer::Superseded;

pub(crate) struct Request<A: Aggregate> {
    pub command: A::Command,
    /// The aggregate's id was made for this request, so there is no such aggregate yet.
    pub is_fresh: bool,
    /// What the request wants the aggregate's version to be.
    pub condition: Condition,
    pub idempotency: Option<IdempotencyKey>,
    pub cause: Cause,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Condition {
    /// It must be at one of these: `If-Match`.
    pub is_one_of: Option<Versions>,
    /// It must be at none of these: `If-None-Match`.
    pub is_none_of: Option<Versions>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Versions {
    /// `*`: whichever, as long as there is one.
    Any,
    Of(Vec<u64>),
}

impl Condition {
    /// Whether an aggregate that is there in this version meets the condition.
    #[must_use]
    pub(crate) fn holds(&self, version: u64) -> bool {
        let names = |versions: &Versions| match versions {
            Versions::Any => true,
            Versions::Of(versions) => versions.contains(&version),
        };
        self.is_one_of.as_ref().is_none_or(names) && !self.is_none_of.as_ref().is_some_and(names)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Cause {
    /// Id of the request that began it all.
    pub correlation_id: Uuid,
    pub command_id: Uuid,
    pub traceparent: Option<String>,
}

/// Why a command was not decided, or its outcome is not known. Never remembered under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Undecided {
    #[error("too many commands are waiting; try again later")]
    QueueFull,
    #[error(
        "{unsent} events wait to be sent to Kafka, which is as many as may; commands are taken again once Kafka is back"
    )]
    OutboxFull { unsent: u64 },
    #[error(
        "{unsent} events of partition {partition} wait to be sent to Kafka, which is its share of as many as may; commands that write to it \
         are taken again once Kafka takes them"
    )]
    PartitionFull { partition: usize, unsent: u64 },
    /// Also of another partition, whose unique keys it would have to know.
    #[error(
        "what the log has of partition {partition} is not known to be what is stored here: {reason}; commands that write to it, or whose \
         answer may rest on it, are taken once it is"
    )]
    PartitionAway {
        partition: usize,
        reason: String,
        /// Whether it was compared, and is something else.
        differs: bool,
    },
    #[error(
        "the journal has {bytes} bytes, which is nearly as many as may be (--journal-bytes-max): {unsent} events wait to be sent to Kafka, \
         and {keys} idempotency keys are remembered, for --idempotency-age-s-min at least; commands are taken again once events are sent \
         or keys are old enough"
    )]
    JournalFull { bytes: u64, unsent: u64, keys: usize },
    #[error(
        "{kept} idempotency keys are remembered, which is as many as may, and none of them is old enough to be forgotten; try again later"
    )]
    KeysFull { kept: u64 },
    #[error(
        "what became of the request with this Idempotency-Key cannot be read any more ({detail}); read the resource to see whether it \
         took effect, and use a new key"
    )]
    KeyUnreadable { detail: String },
    #[error(
        "the command could not be written to disk: {detail}; repeat it with the same Idempotency-Key once the disk is well"
    )]
    StoreFails { detail: String },
    #[error("{detail}; repeat the command with the same Idempotency-Key once it does")]
    Stuck { detail: String },
    #[error("{detail}")]
    Damaged { detail: String },
    #[error("what other services say is not known: {reason}; try again")]
    CatchingUp { reason: String },
    #[error("nothing is known of what this depends on, and nothing new is heard: {reason}; try again")]
    FollowingStopped { reason: String },
    #[error(
        "what {topic} says of {key} is not known: its event {} at {topic}/{}@{} cannot be read: {}; try again once a version of this \
         service runs that reads it",
        parked.event_id, parked.partition, parked.position, parked.reason
    )]
    Quarantined { topic: &'static str, key: Uuid, parked: Parked },
    #[error("{reason}; no command is accepted until then")]
    RelayHalted { reason: String },
    #[error("{by}; this process accepts no command any more, repeat the request there")]
    Superseded { by: Superseded },
    #[error("the service is stopping; try again")]
    Stopping,
    #[error("the command met a fault of this service; its log says more")]
    Fault,
    #[error("the Idempotency-Key was used for another request; use a new key for a new request")]
    KeyReused,
    #[error("the command would write {bytes} bytes, which is more than an event may have")]
    TooLarge { bytes: usize },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) outcome: Outcome,
    pub(crate) repeated: bool,
}

pub(crate) struct Job<A: Aggregate> {
    pub(crate) request: Request<A>,
    pub(crate) reply_to: oneshot::Sender<Result<Reply, Undecided>>,
}

/// The problem for a version that is not as the request wants it.
pub(crate) fn precondition_failed(version: u64) -> Problem {
    let detail = format!(
        "the resource is at version {version}, which is not as If-Match or If-None-Match wants it; read it again and decide anew"
    );
    Problem::of(&PRECONDITION_FAILED, detail).with("version", version)
}
