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

/// A command with all that the request said around it.
pub(crate) struct Request<A: Aggregate> {
    /// The aggregate that it is about.
    pub aggregate_id: Uuid,
    /// What is asked for.
    pub command: A::Command,
    /// The aggregate's id was made for this request, so there is no such aggregate yet.
    pub is_fresh: bool,
    /// What the request wants the aggregate's version to be.
    pub condition: Condition,
    /// The client's key, if it gave one.
    pub idempotency: Option<IdempotencyKey>,
    /// Where the events come from.
    pub cause: Cause,
}

/// Condition on the version of an aggregate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Condition {
    /// It must be at one of these: `If-Match`.
    pub is_one_of: Option<Versions>,
    /// It must be at none of these: `If-None-Match`.
    pub is_none_of: Option<Versions>,
}

/// Versions that a condition names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Versions {
    /// `*`: whichever, as long as there is one.
    Any,
    /// These.
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

/// Where events come from, for their envelopes.
#[derive(Debug, Clone)]
pub(crate) struct Cause {
    /// Id of the request that began it all.
    pub correlation_id: Uuid,
    /// Id of this command.
    pub command_id: Uuid,
    /// W3C trace context, if there was one.
    pub traceparent: Option<String>,
}

/// Why a command was not decided, or its outcome is not known. Never remembered under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Undecided {
    /// Too many commands wait.
    #[error("too many commands are waiting; try again later")]
    QueueFull,
    /// Kafka has been away for too long.
    #[error(
        "{unsent} events wait to be sent to Kafka, which is as many as may; commands are taken again once Kafka is back"
    )]
    OutboxFull {
        /// How many.
        unsent: u64,
    },
    /// Of its partition so many events wait that the rest is left to the others.
    #[error(
        "{unsent} events of partition {partition} wait to be sent to Kafka, which is its share of as many as may; commands that write to it \
         are taken again once Kafka takes them"
    )]
    PartitionFull {
        /// The partition.
        partition: usize,
        /// How many.
        unsent: u64,
    },
    /// What the log has of its partition, or of another one whose unique keys it would have to know, is not known to be what is
    /// stored here.
    #[error(
        "what the log has of partition {partition} is not known to be what is stored here: {reason}; commands that write to it, or whose \
         answer may rest on it, are taken once it is"
    )]
    PartitionAway {
        /// The partition.
        partition: usize,
        /// Why it is not.
        reason: String,
        /// Whether it was compared, and is something else.
        differs: bool,
    },
    /// The journal has as many bytes as it may.
    #[error(
        "the journal has {bytes} bytes, which is nearly as many as may be (--journal-bytes-max): {unsent} events wait to be sent to Kafka, \
         and {keys} idempotency keys are remembered, for --idempotency-age-s-min at least; commands are taken again once events are sent \
         or keys are old enough"
    )]
    JournalFull {
        /// Bytes of its segments.
        bytes: u64,
        /// Events that Kafka does not have.
        unsent: u64,
        /// Idempotency keys that are remembered.
        keys: usize,
    },
    /// Too many idempotency keys, and none of them old enough to be forgotten.
    #[error(
        "{kept} idempotency keys are remembered, which is as many as may, and none of them is old enough to be forgotten; try again later"
    )]
    KeysFull {
        /// How many.
        kept: u64,
    },
    /// What was kept under its idempotency key is damaged.
    #[error(
        "what became of the request with this Idempotency-Key cannot be read any more ({detail}); read the resource to see whether it \
         took effect, and use a new key"
    )]
    KeyUnreadable {
        /// Where, and why.
        detail: String,
    },
    /// The disk does not take writes.
    #[error(
        "the command could not be written to disk: {detail}; repeat it with the same Idempotency-Key once the disk is well"
    )]
    StoreFails {
        /// The store's words.
        detail: String,
    },
    /// The disk does not answer.
    #[error("{detail}; repeat the command with the same Idempotency-Key once it does")]
    Stuck {
        /// For how long.
        detail: String,
    },
    /// A row that it needs is damaged.
    #[error("{detail}")]
    Damaged {
        /// What the row is of.
        detail: String,
    },
    /// It depends on what other services say, which is not known yet.
    #[error("what other services say is not known: {reason}; try again")]
    CatchingUp {
        /// Why it is not.
        reason: String,
    },
    /// It depends on an aggregate that nothing is known of, while nothing new is heard.
    #[error("nothing is known of what this depends on, and nothing new is heard: {reason}; try again")]
    FollowingStopped {
        /// Why it is not.
        reason: String,
    },
    /// It depends on another service's aggregate of which an event cannot be read.
    #[error(
        "what {topic} says of {key} is not known: its event {} at {topic}/{}@{} cannot be read: {}; try again once a version of this \
         service runs that reads it",
        parked.event_id, parked.partition, parked.position, parked.reason
    )]
    Quarantined {
        /// The other service's topic.
        topic: &'static str,
        /// The aggregate.
        key: Uuid,
        /// Its first event that cannot be read.
        parked: Parked,
    },
    /// The events of a partition can no longer be sent.
    #[error("{reason}; no command is accepted until then")]
    RelayHalted {
        /// Which, and why.
        reason: String,
    },
    /// Another process writes the topic.
    #[error("{by}; this process accepts no command any more, repeat the request there")]
    Superseded {
        /// Who.
        by: Superseded,
    },
    /// The service is stopping.
    #[error("the service is stopping; try again")]
    Stopping,
    /// A mistake of this program.
    #[error("the command met a fault of this service; its log says more")]
    Fault,
    /// The idempotency key belongs to another request.
    #[error("the Idempotency-Key was used for another request; use a new key for a new request")]
    KeyReused,
    /// An event would be larger than the store and Kafka take.
    #[error("the command would write {bytes} bytes, which is more than an event may have")]
    TooLarge {
        /// How large.
        bytes: usize,
    },
}

/// The outcome, and whether it is that of an earlier request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) outcome: Outcome,
    pub(crate) repeated: bool,
}

/// A request and who waits for its answer.
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
