//! A record of a topic, opened and checked: the same rules for rebuilding the own store and for following others.

use std::borrow::Cow;

use daybook_event::claim::{self, Writer};
use daybook_event::envelope::{self, Envelope, OpenError, Source};
use daybook_event::event_data::DataError;
use daybook_event::place::Stamp;
use daybook_event::sequence::{Sequence, SequenceError, Verdict};
use daybook_kafka::Record;
use uuid::Uuid;

/// Where in the log a record lies, for what an error says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// Full name of the topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Kafka's offset.
    pub offset: i64,
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "topic {} partition {} offset {}", self.topic, self.partition, self.offset)
    }
}

/// Why a record of the log cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {fault}")]
pub struct IncomingError {
    /// Where it lies.
    pub at: At,
    /// What is wrong with it.
    pub fault: Box<IncomingFault>,
}

/// What is wrong with a record of the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IncomingFault {
    /// It is no event.
    #[error("no event that can be read: {0}; find out who wrote it")]
    Envelope(OpenError),
    /// The event's data cannot be read.
    #[error("event {id} cannot be read: {source}")]
    Data {
        /// The event.
        id: Uuid,
        /// What is wrong with it.
        source: DataError,
    },
    /// It would have to wait behind another event of its aggregate, and may not.
    #[error(
        "event {id} of {subject} waits behind one that cannot be read, but {bound}; start a version of this service that reads it"
    )]
    QuarantineFull {
        /// The event.
        id: Uuid,
        /// The aggregate.
        subject: Uuid,
        /// Which bound was reached.
        bound: &'static str,
    },
    /// Another program wrote it.
    #[error("event {id} comes from {found}, expected {expected}: another program writes this topic; stop it")]
    Foreign {
        /// The event.
        id: Uuid,
        /// Its source.
        found: String,
        /// The only source that may be there.
        expected: String,
    },
    /// Positions do not continue.
    #[error(
        "event {id} does not continue the log: {source}; restore the topic from a replica or a backup, then start again"
    )]
    Sequence {
        /// The event.
        id: Uuid,
        /// What is wrong.
        source: SequenceError,
    },
    /// Versions of an aggregate do not continue.
    #[error(
        "event {id} makes version {found} of {subject}, expected {expected}: two writers, or a broken one, wrote this topic"
    )]
    Version {
        /// The event.
        id: Uuid,
        /// The aggregate.
        subject: Uuid,
        /// The version that comes.
        found: u64,
        /// The version that must come.
        expected: u64,
    },
}

impl IncomingFault {
    /// Whether positions are missing before the record.
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

/// A record, judged.
pub(crate) struct Judged<'r> {
    pub(crate) verdict: Verdict,
    epoch: u32,
    pub(crate) id: Uuid,
    /// The event, if it is to be applied.
    pub(crate) event: Option<Envelope<'r>>,
    /// Who writes from here on, if it is a claim.
    pub(crate) writer: Option<Writer>,
}

impl Judged<'_> {
    /// Which record of which writer it is.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { id: self.id, epoch: self.epoch }
    }

    /// The log that the event belongs to, if it is to be applied as its partition's first one and says so.
    pub(crate) fn names_log(&self) -> Option<Uuid> {
        self.event.as_ref().filter(|event| event.position == 0)?.previous_id
    }

    /// Notes in `sequence` that the record at `offset` has been dealt with.
    pub(crate) fn pass(&self, sequence: &mut Sequence, offset: i64) {
        if let Some(log_id) = self.names_log() {
            sequence.belongs_to(log_id);
        }
        sequence.pass(self.verdict, self.epoch, self.id, offset);
    }
}

/// Opens a record's envelope and checks who wrote it, whether that writer is in force, and whether it is the next one.
pub(crate) fn judge<'r>(
    record: &'r Record<'_>,
    service: &str,
    sequence: &Sequence,
) -> Result<Judged<'r>, IncomingFault> {
    let envelope = match envelope::open(record.value(), || record.headers()) {
        Ok(envelope) => envelope,
        Err(error) => return judge_claim(record, service, sequence, error),
    };
    check_source(&envelope.source, envelope.id, service, record.partition())?;
    let (epoch, id) = (envelope.writer_epoch, envelope.id);
    let verdict = sequence
        .check(epoch, envelope.position, id, envelope.previous_id)
        .map_err(|source| IncomingFault::Sequence { id, source })?;
    let event = (verdict == Verdict::Apply).then_some(envelope);
    Ok(Judged { verdict, epoch, id, event, writer: None })
}

/// What is no event, for which `error` is the reason, may be a writer's claim.
fn judge_claim<'r>(
    record: &Record<'_>,
    service: &str,
    sequence: &Sequence,
    error: OpenError,
) -> Result<Judged<'r>, IncomingFault> {
    let claim = claim::open(record.value()).unwrap_or(Err(error)).map_err(IncomingFault::Envelope)?;
    check_source(&claim.source, claim.id, service, record.partition())?;
    let verdict = sequence.check_claim(claim.epoch);
    Ok(Judged { verdict, epoch: claim.epoch, id: claim.id, event: None, writer: Some(claim.writer) })
}

/// Only one service writes a topic, and says so in every record.
pub(crate) fn check_source(
    found: &Source<'_>,
    id: Uuid,
    service: &str,
    partition: i32,
) -> Result<(), IncomingFault> {
    let expected = Source { service: Cow::Borrowed(service), partition };
    if *found == expected {
        return Ok(());
    }
    let (found, expected) = (found.to_string(), expected.to_string());
    Err(IncomingFault::Foreign { id, found, expected })
}
