//! One command on its way to the committer, and what becomes of it.

use daybook_event::problem::Problem;
use daybook_service::http::problem_types::PRECONDITION_FAILED;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::aggregate::Aggregate;
use crate::commit::idempotency::IdempotencyKey;
use crate::fencing::Fenced;
use crate::service::Busy;
use crate::store::fields::{Damaged, Fields, put_number, put_sized};
use crate::store::rows::Parked;

pub(crate) struct Request<A: Aggregate> {
    pub aggregate_id: Uuid,
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
pub(crate) enum CommandError {
    #[error("too many commands are waiting; try again later")]
    QueueFull,
    #[error(
        "{unsent} events wait to be sent to Kafka, which is the limit; commands are accepted again once Kafka is back"
    )]
    OutboxFull { unsent: u64 },
    #[error(
        "{unsent} events of partition {partition} wait to be sent to Kafka, which is its share of the limit; commands that write to it \
         are accepted again once Kafka takes them"
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
        "the journal has {bytes} bytes, which is nearly the limit (--journal-bytes-max): {unsent} events wait to be sent to Kafka, \
         and {keys} idempotency keys are remembered, for --idempotency-age-s-min at least; commands are accepted again once events are sent \
         or keys are old enough"
    )]
    JournalFull { bytes: u64, unsent: u64, keys: usize },
    #[error(
        "the limit of {kept} idempotency keys is reached, and none of them is old enough to be forgotten; try again later"
    )]
    KeysFull { kept: u64 },
    #[error(
        "what became of the request with this Idempotency-Key cannot be read any more ({detail}); read the resource to see whether it \
         took effect, and use a new key"
    )]
    KeyUnreadable { detail: String },
    #[error(
        "the command could not be written to disk: {detail}; repeat it with the same Idempotency-Key once the disk works again"
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
    Fenced { by: Fenced },
    #[error("the service is stopping; try again")]
    Stopping,
    #[error("the command met a fault of this service; its log says more")]
    Fault,
    #[error("the Idempotency-Key was used for another request; use a new key for a new request")]
    KeyReused,
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error(
        "the command is stored here and will be sent to Kafka, which has not acknowledged it within {waited_ms} ms; repeat the \
         request with its Idempotency-Key to get its answer, or read the resource"
    )]
    NotAcknowledged { waited_ms: u128 },
    #[error(
        "the command is stored here, but another writer has taken over before the log had it, and its events will never be \
         there: {by}; repeat the request there"
    )]
    StoredAndFenced { by: Fenced },
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
    pub(crate) reply_to: oneshot::Sender<Result<Reply, CommandError>>,
}

pub(crate) fn precondition_failed(version: u64) -> Problem {
    let detail = format!(
        "the resource is at version {version}, which does not match If-Match or If-None-Match; read it again and decide again"
    );
    Problem::of(&PRECONDITION_FAILED, detail).with("version", version)
}

pub(crate) fn nothing_matches() -> Problem {
    let detail =
        "there is no such resource yet, so nothing matches If-Match; send the request without If-Match";
    Problem::of(&PRECONDITION_FAILED, detail)
}

// What became of a command: accepted or rejected. It is kept under the idempotency key and sent to whoever waits; the
// rim makes the answer of it, for the first request and a repeated one alike.
//
// As bytes, in a row of the store or in a record of any other file:
//
// | outcome | its parts, one after the other |
// | --- | --- |
// | accepted | `1`, flags (1: created an aggregate, 2: shows a state, 4: says where it stands), version, id of the created aggregate (16 bytes), state as JSON, positions written, dependencies, position where it stands |
// | rejected | `2`, status, slug, title, detail, further members as a JSON object (empty without any) |
//
// Numbers are in base 128, least significant digits first, in their shortest form. Texts and JSON have their length
// before them, lists their count. A position is partition and position, a dependency the index of the followed topic and
// a position. A part that is not there takes no bytes. Another layout takes another first byte.

const ACCEPTED: u8 = 1;
const REJECTED: u8 = 2;
const CREATED: u8 = 1;
const SHOWS_STATE: u8 = 2;
const STANDS_AT: u8 = 4;

/// A position in a topic: of its service's own, if a command wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) partition: i32,
    pub(crate) position: u64,
}

/// An event of another service that a command depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DependsOn {
    /// Index of the topic among those that the service follows.
    pub(crate) table: u16,
    /// The event's place in that topic.
    pub(crate) at: Written,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// It was decided and what it wrote is durable, also if that is nothing.
    Accepted(Accepted),
    Rejected(Problem),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// The aggregate's version afterwards; 0 if unknown, see `idempotency`.
    pub(crate) version: u64,
    /// The aggregate, if there was none before.
    pub(crate) created: Option<Uuid>,
    /// What is shown of its state afterwards, as JSON; none if it is gone.
    pub(crate) state: Option<Vec<u8>>,
    /// Where its events are in the service's own topic; none if it changed nothing.
    pub(crate) written: Vec<Written>,
    /// The events of other services that the decision has read.
    pub(crate) depends_on: Vec<DependsOn>,
    /// If it wrote nothing: a position of the aggregate's partition at which its state was there already.
    pub(crate) stands_at: Option<Written>,
}

impl Outcome {
    pub(crate) fn written(&self) -> &[Written] {
        match self {
            Self::Accepted(accepted) => &accepted.written,
            Self::Rejected(_) => &[],
        }
    }

    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Self::Accepted(accepted) => accepted.encode(to),
            Self::Rejected(problem) => encode_problem(problem, to),
        }
    }

    pub(crate) fn decode(fields: &mut Fields<'_>) -> Result<Self, Damaged> {
        match fields.array()? {
            [ACCEPTED] => Accepted::decode(fields).map(Self::Accepted),
            [REJECTED] => decode_problem(fields).map(Self::Rejected),
            _ => Err(Damaged::of(fields)),
        }
    }
}

impl Accepted {
    fn encode(&self, to: &mut Vec<u8>) {
        let created = if self.created.is_some() { CREATED } else { 0 };
        let shows_state = if self.state.is_some() { SHOWS_STATE } else { 0 };
        let stands_at = if self.stands_at.is_some() { STANDS_AT } else { 0 };
        to.extend_from_slice(&[ACCEPTED, created | shows_state | stands_at]);
        put_number(to, self.version);
        if let Some(id) = &self.created {
            to.extend_from_slice(id.as_bytes());
        }
        if let Some(state) = &self.state {
            put_sized(to, state);
        }
        put_number(to, self.written.len() as u64);
        for written in &self.written {
            put_written(to, written);
        }
        put_number(to, self.depends_on.len() as u64);
        for depends_on in &self.depends_on {
            put_number(to, u64::from(depends_on.table));
            put_written(to, &depends_on.at);
        }
        if let Some(at) = &self.stands_at {
            put_written(to, at);
        }
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, Damaged> {
        let [flags] = fields.array()?;
        if flags & !(CREATED | SHOWS_STATE | STANDS_AT) != 0 {
            return Err(Damaged::of(fields));
        }
        let version = fields.number()?;
        let created = (flags & CREATED != 0).then(|| fields.id()).transpose()?;
        let state = (flags & SHOWS_STATE != 0).then(|| json(fields)).transpose()?;
        let positions = (0..fields.number()?).map(|_| written(fields)).collect::<Result<_, _>>()?;
        let depends_on = (0..fields.number()?).map(|_| depends_on(fields)).collect::<Result<_, _>>()?;
        let stands_at = (flags & STANDS_AT != 0).then(|| written(fields)).transpose()?;
        Ok(Self { version, created, state, written: positions, depends_on, stands_at })
    }
}

fn json(fields: &mut Fields<'_>) -> Result<Vec<u8>, Damaged> {
    let bytes = fields.sized()?;
    if is_json(bytes) { Ok(bytes.to_vec()) } else { Err(Damaged::of(fields)) }
}

pub(crate) fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(bytes).is_ok()
}

fn put_written(to: &mut Vec<u8>, written: &Written) {
    // Partitions are numbered from 0.
    put_number(to, written.partition as u64);
    put_number(to, written.position);
}

fn written(fields: &mut Fields<'_>) -> Result<Written, Damaged> {
    let partition = i32::try_from(fields.number()?).map_err(|_| Damaged::of(fields))?;
    Ok(Written { partition, position: fields.number()? })
}

fn depends_on(fields: &mut Fields<'_>) -> Result<DependsOn, Damaged> {
    let table = u16::try_from(fields.number()?).map_err(|_| Damaged::of(fields))?;
    Ok(DependsOn { table, at: written(fields)? })
}

fn encode_problem(problem: &Problem, to: &mut Vec<u8>) {
    to.push(REJECTED);
    put_number(to, u64::from(problem.status));
    put_sized(to, problem.slug().as_bytes());
    put_sized(to, problem.title.as_bytes());
    put_sized(to, problem.detail.as_bytes());
    // Members are JSON values with text for names, which can always be written; and if not, the rest still stands.
    let members = Some(&problem.extensions).filter(|members| !members.is_empty());
    put_sized(to, &members.map(serde_json::to_vec).transpose().ok().flatten().unwrap_or_default());
}

fn decode_problem(fields: &mut Fields<'_>) -> Result<Problem, Damaged> {
    let status = u16::try_from(fields.number()?).ok().filter(|status| (400..600).contains(status));
    let status = status.ok_or_else(|| Damaged::of(fields))?;
    let (slug, title, detail) = (sized_text(fields)?, sized_text(fields)?, sized_text(fields)?);
    let mut problem = Problem::new(status, slug, title, detail);
    let members = fields.sized()?;
    if !members.is_empty() {
        problem.extensions = serde_json::from_slice(members).map_err(|_| Damaged::of(fields))?;
    }
    Ok(problem)
}

fn sized_text<'a>(fields: &mut Fields<'a>) -> Result<&'a str, Damaged> {
    std::str::from_utf8(fields.sized()?).map_err(|_| Damaged::of(fields))
}
