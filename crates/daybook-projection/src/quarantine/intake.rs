//! Which records wait: those that cannot be projected, and those of a key that waits already.
//!
//! One rule for following and for a replay. It holds what was parked since the last commit until the driver takes it.

use std::collections::HashMap;
use std::sync::Arc;

use daybook_event::envelope::Envelope;
use daybook_event::event_data::{DataError, EventData, Opened};
use daybook_stream::{Admission, Disposition, EventRead, Headers, Placed, SetAsideLog, key_text};
use uuid::Uuid;

use super::record::{self, ParkedRecord, shortened};
use super::waiting::{Totals, Waiting};
use super::{Quarantine, SkippedEvent};
use crate::engine::Incoming;
use crate::source::Source;
use crate::stop::StopReason;

/// Decides for every record whether it waits.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    waiting: Waiting,
    /// Events that could not be folded, by partition and position: they are parked when they are met again.
    unfoldable: HashMap<(usize, u64), StopReason>,
    /// Events that are left out, by partition and position, with their ids.
    skipped: HashMap<(usize, u64), Uuid>,
    /// Parked since the last commit.
    fresh: Vec<ParkedRecord>,
    fresh_bytes: usize,
    read_again: bool,
    /// Whether the first record that would wait stops the driver instead.
    stops: bool,
    set_aside: SetAsideLog,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It was the next event: projected, parked, or left out.
    Event,
    /// It was applied before.
    Repeated,
    /// It is of a writer that another one has fenced.
    Fenced,
    /// A writer's claim, or a record that is set aside.
    Nothing,
}

/// What becomes of an event that comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// It is projected.
    Project,
    /// It waits.
    Park,
    /// It takes its place and is forgotten.
    LeaveOut,
}

/// A record that waits, and its place.
struct Waits<'r> {
    offset: i64,
    key: Option<&'r [u8]>,
    value: Option<&'r [u8]>,
    headers: Headers,
    bytes: usize,
    position: u64,
    id: Uuid,
    has_event_id: bool,
}

impl<'r> Waits<'r> {
    /// An event whose envelope was read.
    fn event(record: &Incoming<'r>, headers: Headers, position: u64, id: Uuid) -> Self {
        let Incoming { offset, key, value, .. } = *record;
        let bytes = record::bytes(key.unwrap_or_default(), value, &headers);
        Self { offset, key, value, headers, bytes, position, id, has_event_id: true }
    }

    /// A record that was set aside before.
    fn placed(record: &'r Placed) -> Self {
        Self {
            offset: record.offset,
            key: Some(record.key.as_bytes()),
            value: record.value.as_deref(),
            headers: record.headers.clone(),
            bytes: record.bytes,
            position: record.position,
            id: record.id,
            has_event_id: false,
        }
    }
}

impl Intake {
    /// One of several, whose records count together; with `stops`, none waits.
    pub(crate) fn counting(totals: &Arc<Totals>, stops: bool) -> Self {
        Self { waiting: Waiting::counting(totals), stops, ..Self::default() }
    }

    /// Goes on with what waits of a partition in a generation.
    pub(crate) fn resume(&mut self, quarantine: &Quarantine, index: usize, source: &mut Source) {
        for (_, _, event) in quarantine.parked().filter(|(id, ..)| **id == source.id) {
            self.waiting.count(index, event.key.as_bytes(), event.bytes);
            if !event.has_event_id {
                source.state.was_placed(event.id);
            }
        }
        self.leave_out(quarantine.skipped(), index, source);
    }

    /// Goes on with a record that waits in a build.
    pub(crate) fn resume_record(&mut self, index: usize, source: &mut Source, record: &ParkedRecord) {
        self.waiting.count(index, record.key.as_bytes(), record.bytes() as u64);
        if !record.has_event_id {
            source.state.was_placed(record.id);
        }
    }

    /// Leaves those of these events out that are of one partition, when they come.
    pub(crate) fn leave_out(&mut self, skipped: &[SkippedEvent], index: usize, source: &mut Source) {
        let id = source.id.clone();
        let is_of =
            |event: &&SkippedEvent| (event.topic.as_str(), event.partition) == (&*id.topic, id.partition);
        for event in skipped.iter().filter(is_of) {
            self.skipped.insert((index, event.position), event.id);
            // Passed before, so that it can only be a repetition.
            if event.event_id.is_none() && event.position < source.state.next_position() {
                source.state.was_placed(event.id);
            }
        }
    }

    /// Parks the event of a position when it comes: it cannot be folded.
    pub(crate) fn expect_unfoldable(&mut self, index: usize, position: u64, reason: StopReason) {
        self.unfoldable.insert((index, position), reason);
    }

    /// What is left when everything since the last commit is read again.
    pub(crate) fn forget(&mut self) -> Self {
        let (unfoldable, set_aside) =
            (std::mem::take(&mut self.unfoldable), std::mem::take(&mut self.set_aside));
        Self { unfoldable, set_aside, ..Self::default() }
    }

    /// Takes the next record of a partition. An event that does not wait is handed to `project`.
    ///
    /// # Errors
    /// [`StopReason`]; nothing of the record is noted then.
    pub(crate) fn admit<E: EventData>(
        &mut self,
        source: &mut Source,
        record: Incoming<'_>,
        headers: impl Fn() -> Headers,
        project: impl FnOnce(&Source, &Opened<'_, E>) -> Result<(), StopReason>,
    ) -> Result<Taken, StopReason> {
        let admission = source.state.admit_event::<E>(&record.view(), &headers);
        let Admission { disposition, passing } =
            admission.map_err(|refusal| source.stop(record.offset, refusal))?;
        let parked = (self.fresh.len(), self.fresh_bytes);
        let taken = self.park_placed(source, record.source, passing.placed());
        let taken = taken.and_then(|()| self.take(source, &record, headers, disposition, project));
        match taken {
            Ok(_) => source.state.advance(passing),
            // What waits has a place only if the event behind it has one.
            Err(_) => {
                self.fresh.truncate(parked.0);
                self.fresh_bytes = parked.1;
            }
        }
        taken
    }

    #[inline]
    fn take<E>(
        &mut self,
        source: &Source,
        record: &Incoming<'_>,
        headers: impl Fn() -> Headers,
        disposition: Disposition<'_, EventRead<'_, E>>,
        project: impl FnOnce(&Source, &Opened<'_, E>) -> Result<(), StopReason>,
    ) -> Result<Taken, StopReason> {
        match disposition {
            Disposition::Event(EventRead::Opened(opened)) => {
                let (position, id) = (opened.position, opened.id);
                match self.course(record.source, position, id, || record.key) {
                    Course::LeaveOut => {}
                    Course::Project => project(source, &opened)
                        .inspect_err(|reason| self.note_unfoldable(record, position, reason))?,
                    Course::Park => {
                        let reason = self.unfoldable.get(&(record.source, position)).cloned();
                        let waits = Waits::event(record, headers(), position, id);
                        self.park(source, record.source, waits, reason)?;
                    }
                }
                Ok(Taken::Event)
            }
            Disposition::Event(EventRead::Unreadable { envelope, error }) => {
                self.park_unreadable(source, record, headers(), &envelope, error)?;
                Ok(Taken::Event)
            }
            Disposition::Repeated => Ok(Taken::Repeated),
            Disposition::Fenced => Ok(Taken::Fenced),
            Disposition::Claim(_) => Ok(Taken::Nothing),
            Disposition::SetAside { why, is_new } => {
                if is_new {
                    self.set_aside.note(&source.id.topic, source.id.partition, &record.view(), &why);
                }
                Ok(Taken::Nothing)
            }
        }
    }

    /// Says now and then how many records were set aside.
    pub(crate) fn tell_set_aside(&mut self) {
        self.set_aside.tick();
    }

    /// Parks records that were set aside, and have positions after all.
    fn park_placed(&mut self, source: &Source, index: usize, placed: &[Placed]) -> Result<(), StopReason> {
        for record in placed {
            let course = self.look_up(index, record.position, record.id, Some(record.key.as_bytes()));
            if course != Course::LeaveOut {
                let reason = source.unowned(record.offset, record.why.clone());
                self.park(source, index, Waits::placed(record), Some(reason))?;
            }
        }
        Ok(())
    }

    /// Parks an event of which only the envelope can be read.
    fn park_unreadable(
        &mut self,
        source: &Source,
        record: &Incoming<'_>,
        headers: Headers,
        envelope: &Envelope<'_>,
        error: DataError,
    ) -> Result<(), StopReason> {
        let Envelope { position, id, .. } = *envelope;
        if self.look_up(record.source, position, id, record.key) == Course::LeaveOut {
            return Ok(());
        }
        let reason = StopReason::unreadable(source.at(record.offset, Some(id)), error.into());
        self.park(source, record.source, Waits::event(record, headers, position, id), Some(reason))
    }

    /// What becomes of the event of a position that comes next.
    #[inline]
    fn course<'k>(
        &self,
        source: usize,
        position: u64,
        id: Uuid,
        key: impl FnOnce() -> Option<&'k [u8]>,
    ) -> Course {
        match self.waiting.is_empty() && self.unfoldable.is_empty() && self.skipped.is_empty() {
            true => Course::Project,
            false => self.look_up(source, position, id, key()),
        }
    }

    fn look_up(&self, source: usize, position: u64, id: Uuid, key: Option<&[u8]>) -> Course {
        if self.skipped.get(&(source, position)) == Some(&id) {
            return Course::LeaveOut;
        }
        let waits = self.waiting.of_key(source, key.unwrap_or_default()) > 0;
        match waits || self.unfoldable.contains_key(&(source, position)) {
            true => Course::Park,
            false => Course::Project,
        }
    }

    /// Notes an event that could not be folded, if it can wait: it does when it is read again.
    fn note_unfoldable(&mut self, record: &Incoming<'_>, position: u64, reason: &StopReason) {
        if reason.is_about_one_key() && key_text(record.key).is_some() {
            self.unfoldable.insert((record.source, position), reason.clone());
            self.read_again = true;
        }
    }

    /// Whether everything since the last commit is to be read again, because of an event that could not be folded.
    pub(crate) fn reads_again(&self) -> bool {
        self.read_again
    }

    /// Records that were parked since the last commit.
    pub(crate) fn uncommitted(&self) -> (usize, usize) {
        (self.fresh.len(), self.fresh_bytes)
    }

    /// All events that could not be folded have been parked, and that is committed.
    pub(crate) fn committed(&mut self) {
        self.unfoldable.clear();
    }

    /// Hands over what was parked since the last time.
    pub(crate) fn take_uncommitted(&mut self) -> Vec<ParkedRecord> {
        self.fresh_bytes = 0;
        std::mem::take(&mut self.fresh)
    }

    /// Parks a record within the bounds; else gives the reason why the projection stops.
    fn park(
        &mut self,
        source: &Source,
        index: usize,
        waits: Waits<'_>,
        reason: Option<StopReason>,
    ) -> Result<(), StopReason> {
        let Waits { offset, key, value, headers, bytes, position, id, has_event_id } = waits;
        if let Some(reason) = reason.as_ref().filter(|_| self.stops) {
            return Err(reason.clone());
        }
        let refused = self.waiting.bound_reached(index, key.unwrap_or_default(), bytes);
        let (Some(text), None) = (key_text(key), refused) else {
            let full = || StopReason::QuarantineFull {
                at: source.at(offset, has_event_id.then_some(id)),
                key: String::from_utf8_lossy(key.unwrap_or_default()).into_owned(),
                bound: refused.unwrap_or("its key is no text").to_owned(),
            };
            return Err(reason.unwrap_or_else(full));
        };
        self.waiting.count(index, text.as_bytes(), bytes as u64);
        self.fresh_bytes += bytes;
        self.fresh.push(ParkedRecord {
            source: source.id.clone(),
            key: text.to_owned(),
            position,
            offset,
            id,
            has_event_id,
            value: value.map(<[u8]>::to_vec),
            headers,
            reason: reason.map(|reason| shortened(&reason.cause())),
        });
        Ok(())
    }
}
