//! What the next record of a partition is. One rule for everybody who reads it.

use daybook_event::claim::{self, Claim};
use daybook_event::envelope::{self, Envelope, OpenError, Source};
use daybook_event::event_data::{self, DataError, EventData, EventError, Opened};
use daybook_event::sequence::{Reached, Sequence, SequenceError, Verdict};
use uuid::Uuid;

use crate::partition::PartitionState;
use crate::set_aside::{Placed, Unowned, candidate};

/// Names and values, as Kafka has them.
pub type Headers = Vec<(String, Vec<u8>)>;

/// A record of one partition. Headers are asked for apart: to read them costs more than to open the value.
#[derive(Debug, Clone, Copy)]
pub struct RecordView<'r> {
    pub offset: i64,
    pub key: Option<&'r [u8]>,
    pub value: Option<&'r [u8]>,
}

#[derive(Debug, Clone, Copy)]
pub struct Identity<'e> {
    /// Service and partition.
    pub source: &'e Source<'e>,
    pub epoch: u32,
    pub position: u64,
    pub id: Uuid,
    /// What it names as the event before it, or as its log.
    pub previous_id: Option<Uuid>,
}

/// An event that was opened, as far as its reader needs it.
pub trait Identified {
    fn identity(&self) -> Identity<'_>;
}

impl<E> Identified for Opened<'_, E> {
    #[inline]
    fn identity(&self) -> Identity<'_> {
        let Opened { writer_epoch: epoch, position, id, previous_id, .. } = *self;
        Identity { source: &self.source, epoch, position, id, previous_id }
    }
}

impl Identified for Envelope<'_> {
    fn identity(&self) -> Identity<'_> {
        let Envelope { writer_epoch: epoch, position, id, previous_id, .. } = *self;
        Identity { source: &self.source, epoch, position, id, previous_id }
    }
}

#[derive(Debug)]
pub struct Admission<'r, T> {
    pub disposition: Disposition<'r, T>,
    pub passing: Passing,
}

#[derive(Debug)]
pub enum Disposition<'r, T> {
    Event(T),
    /// An event that was applied before.
    Repeated,
    /// It is of a writer that another one has fenced.
    Fenced,
    /// A writer claims the partition, and is in force from here on.
    Claim(Claim<'r>),
    /// No event of the partition's service.
    SetAside {
        why: Unowned,
        /// Whether it is met for the first time.
        is_new: bool,
    },
}

/// The next event, opened down to its data.
#[derive(Debug)]
pub enum EventRead<'r, E> {
    Opened(Opened<'r, E>),
    /// This program cannot read its data.
    Unreadable {
        envelope: Envelope<'r>,
        error: DataError,
    },
}

/// What is to be noted of a record.
#[derive(Debug)]
#[must_use]
pub struct Passing(pub(crate) Passed);

#[derive(Debug)]
pub(crate) enum Passed {
    /// An event or a claim of the partition's service.
    Ours {
        verdict: Verdict,
        epoch: u32,
        id: Uuid,
        offset: i64,
        /// What the partition's first event says which log it belongs to.
        log_id: Option<Uuid>,
        /// A log whose front is gone begins here.
        begins: Option<Box<Sequence>>,
        placed: Vec<Placed>,
    },
    SetAside {
        offset: i64,
        candidate: Option<Box<Placed>>,
    },
}

impl Passing {
    /// Set-aside records that have the positions right before this event's, in their order: they park their keys.
    pub fn placed(&self) -> &[Placed] {
        match &self.0 {
            Passed::Ours { placed, .. } => placed,
            Passed::SetAside { .. } => &[],
        }
    }

    /// Whether a log whose front is gone begins with this event, as far as is known now.
    pub fn begins(&self) -> bool {
        matches!(&self.0, Passed::Ours { begins: Some(_), .. })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {id} does not continue the log: {error}")]
pub struct Discontinuity {
    pub id: Uuid,
    pub error: SequenceError,
}

/// Why a record that waited is not what it was parked as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReopenError {
    #[error(transparent)]
    Unreadable(#[from] EventError),
    #[error(transparent)]
    Foreign(Unowned),
    #[error(transparent)]
    Elsewhere(#[from] Discontinuity),
}

/// An event of the partition's service, judged.
struct Judged {
    verdict: Verdict,
    begins: Option<Box<Sequence>>,
    placed: Vec<Placed>,
}

impl Judged {
    fn of(verdict: Verdict) -> Self {
        Self { verdict, begins: None, placed: Vec::new() }
    }
}

impl PartitionState {
    /// Says what a record is, and reads it down to the event's data. `headers` is called only if the value is not a structured event.
    #[inline]
    pub fn admit_event<'r, E: EventData>(
        &self,
        record: &RecordView<'r>,
        headers: impl Fn() -> Headers,
    ) -> Result<Admission<'r, EventRead<'r, E>>, Discontinuity> {
        match event_data::open::<E>(record.value, &headers) {
            Ok(opened) => self.admit(record, opened, headers, EventRead::Opened),
            Err(EventError::Envelope(error)) => self.admit_other(record, headers, error),
            Err(EventError::Data(error)) => match envelope::open(record.value, &headers) {
                Ok(opened) => {
                    let unreadable = |envelope| EventRead::Unreadable { envelope, error };
                    self.admit(record, opened, headers, unreadable)
                }
                Err(error) => self.admit_other(record, headers, error),
            },
        }
    }

    /// The same for a reader that reads the data itself.
    pub fn admit_envelope<'r>(
        &self,
        record: &RecordView<'r>,
        headers: impl Fn() -> Headers,
    ) -> Result<Admission<'r, Envelope<'r>>, Discontinuity> {
        match envelope::open(record.value, &headers) {
            Ok(opened) => self.admit(record, opened, headers, |envelope| envelope),
            Err(error) => self.admit_other(record, headers, error),
        }
    }

    /// Opens a record that has waited at a position.
    pub fn reopen<'r, E: EventData>(
        &self,
        value: Option<&'r [u8]>,
        headers: impl FnOnce() -> Headers,
        position: u64,
    ) -> Result<Opened<'r, E>, ReopenError> {
        let opened = event_data::open::<E>(value, headers)?;
        let Identity { source, id, position: found, .. } = opened.identity();
        if !self.is_from(source) {
            return Err(ReopenError::Foreign(self.foreign(source, id)));
        }
        if found != position {
            let error = SequenceError::Gap { expected: position, found, set_aside: 0 };
            return Err(Discontinuity { id, error }.into());
        }
        Ok(opened)
    }

    /// Judges an event that the log does not have yet, and that goes behind all of it. Its writer will be in force.
    /// Errors: [`ReopenError`]; but for its data, which is not looked at.
    pub fn admit_unsent(&self, event: &Envelope<'_>) -> Result<Passing, ReopenError> {
        let id = event.id;
        if !self.is_from(&event.source) {
            return Err(ReopenError::Foreign(self.foreign(&event.source, id)));
        }
        let checked = self.sequence.check(u32::MAX, event.position, id, event.previous_id);
        let verdict = checked.map_err(|error| Discontinuity { id, error })?;
        let Reached { offset, epoch, .. } = self.reached();
        let (log_id, begins, placed) = (None, None, Vec::new());
        Ok(Passing(Passed::Ours { verdict, epoch, id, offset, log_id, begins, placed }))
    }

    /// Why an event or a claim is none of this partition.
    fn foreign(&self, found: &Source<'_>, id: Uuid) -> Unowned {
        Unowned::Foreign { id, found: found.to_string(), expected: self.source().to_string() }
    }

    #[inline]
    fn admit<'r, O: Identified, T>(
        &self,
        record: &RecordView<'r>,
        opened: O,
        headers: impl Fn() -> Headers,
        as_read: impl FnOnce(O) -> T,
    ) -> Result<Admission<'r, T>, Discontinuity> {
        let event = opened.identity();
        if !self.is_from(event.source) {
            let why = self.foreign(event.source, event.id);
            return Ok(self.set_aside_record(record, headers, why));
        }
        let Judged { verdict, begins, placed } = self.judge(&event, record.offset)?;
        let is_first = verdict == Verdict::Apply && event.position == 0;
        let passing = Passing(Passed::Ours {
            verdict,
            epoch: event.epoch,
            id: event.id,
            offset: record.offset,
            log_id: event.previous_id.filter(|_| is_first),
            begins,
            placed,
        });
        let disposition = match verdict {
            Verdict::Apply => Disposition::Event(as_read(opened)),
            Verdict::Duplicate => Disposition::Repeated,
            Verdict::Fenced | Verdict::Claim => Disposition::Fenced,
        };
        Ok(Admission { disposition, passing })
    }

    #[inline]
    fn judge(&self, event: &Identity<'_>, offset: i64) -> Result<Judged, Discontinuity> {
        let check =
            |sequence: &Sequence| sequence.check(event.epoch, event.position, event.id, event.previous_id);
        let begins = self.begins_at(event, offset);
        let checked = check(begins.as_ref().unwrap_or(&self.sequence));
        match checked {
            Ok(verdict) => Ok(Judged { begins: begins.map(Box::new), ..Judged::of(verdict) }),
            Err(error) => self.fill_gap(event, error),
        }
    }

    /// A gap may be what was set aside.
    #[cold]
    fn fill_gap(&self, event: &Identity<'_>, error: SequenceError) -> Result<Judged, Discontinuity> {
        let id = event.id;
        let SequenceError::Gap { expected, found, .. } = error else {
            return Err(Discontinuity { id, error });
        };
        match self.pending.fill(expected, found, event.previous_id) {
            Some(placed) => Ok(Judged { placed, ..Judged::of(Verdict::Apply) }),
            None => {
                let set_aside = self.pending.keyed();
                Err(Discontinuity { id, error: SequenceError::Gap { expected, found, set_aside } })
            }
        }
    }

    /// What is no event, for which `error` is the reason, may be a writer's claim.
    #[cold]
    fn admit_other<'r, T>(
        &self,
        record: &RecordView<'r>,
        headers: impl Fn() -> Headers,
        error: OpenError,
    ) -> Result<Admission<'r, T>, Discontinuity> {
        let claim = match claim::open(record.value).unwrap_or(Err(error)) {
            Ok(claim) => claim,
            Err(error) => return Ok(self.set_aside_record(record, headers, error.into())),
        };
        if !self.is_from(&claim.source) {
            let why = self.foreign(&claim.source, claim.id);
            return Ok(self.set_aside_record(record, headers, why));
        }
        let verdict = self.sequence.check_claim(claim.epoch);
        let passing = Passing(Passed::Ours {
            verdict,
            epoch: claim.epoch,
            id: claim.id,
            offset: record.offset,
            log_id: None,
            begins: None,
            placed: Vec::new(),
        });
        let disposition = match verdict {
            Verdict::Claim => Disposition::Claim(claim),
            _ => Disposition::Fenced,
        };
        Ok(Admission { disposition, passing })
    }

    #[cold]
    fn set_aside_record<'r, T>(
        &self,
        record: &RecordView<'r>,
        headers: impl Fn() -> Headers,
        why: Unowned,
    ) -> Admission<'r, T> {
        let offset = record.offset;
        let passing = Passing(Passed::SetAside { offset, candidate: candidate(record, headers, &why) });
        let is_new = self.set_aside().counts(offset);
        Admission { disposition: Disposition::SetAside { why, is_new }, passing }
    }
}
