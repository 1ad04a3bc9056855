//! Which records wait: those that cannot be projected, and those of a key that waits already.
//!
//! One rule for following and for a replay. What a fold is contradicted by waits for its view alone; [`Parking`] holds both until the driver
//! takes them.

use std::sync::Arc;

use daybook_event::envelope::Envelope;
use daybook_event::event_data::{DataError, EventData, Opened};
use daybook_stream::{Admission, Disposition, EventRead, Headers, Placed, SetAsideLog};
use uuid::Uuid;

use super::Quarantine;
use super::parking::{Parking, Totals, Waits};
use super::record::ParkedRecord;
use super::skipped::{SkippedEvent, Skips};
use crate::engine::Incoming;
use crate::sources::Source;
use crate::stop::StopReason;

#[derive(Debug, Default)]
pub(crate) struct Intake {
    pub(crate) parking: Parking,
    skips: Skips,
    set_aside: SetAsideLog,
}

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
    Project,
    Park,
    /// It takes its place and is forgotten.
    LeaveOut,
}

impl Intake {
    /// One of several, whose records count together; with `stops`, none waits.
    pub(crate) fn counting(totals: &Arc<Totals>, stops: bool) -> Self {
        Self { parking: Parking::counting(totals, stops), ..Self::default() }
    }

    /// What is left when everything since the last commit is read again.
    pub(crate) fn forget(&mut self) -> Self {
        Self { set_aside: std::mem::take(&mut self.set_aside), ..Self::default() }
    }

    /// Goes on with what waits of a partition in a generation.
    pub(crate) fn resume(&mut self, quarantine: &Quarantine, index: usize, source: &mut Source) {
        for (.., event) in quarantine.parked().filter(|(id, ..)| **id == source.id) {
            self.parking.resume(index, event);
            if !event.has_event_id && event.row.is_none() {
                source.state.was_placed(event.id);
            }
        }
        self.leave_out(quarantine.skipped(), index, source);
    }

    /// Goes on with a record that waits in a build.
    pub(crate) fn resume_record(&mut self, index: usize, source: &mut Source, record: &ParkedRecord) {
        self.parking.resume_record(index, record);
        if !record.has_event_id {
            source.state.was_placed(record.id);
        }
    }

    /// Leaves those of these events out that are of one partition, when they come.
    pub(crate) fn leave_out(&mut self, skipped: &[SkippedEvent], index: usize, source: &mut Source) {
        let id = source.id.clone();
        for event in skipped.iter().filter(|event| event.is_in(&id)) {
            self.skips.add(index, event);
            // Passed before, so that it can only be a repetition.
            if event.event_id.is_none()
                && event.views.is_empty()
                && event.position < source.state.next_position()
            {
                source.state.was_placed(event.id);
            }
        }
    }

    /// Takes the next record of a partition. An event that does not wait is handed to `project`, with the views that leave it out; what
    /// of it is to wait is parked there.
    ///
    /// # Errors
    /// [`StopReason`]; nothing of the record is noted then.
    pub(crate) fn admit<E: EventData>(
        &mut self,
        source: &mut Source,
        record: Incoming<'_>,
        headers: impl Fn() -> Headers,
        project: impl FnOnce(&Source, &Opened<'_, E>, &[u8], &mut Parking) -> Result<(), StopReason>,
    ) -> Result<Taken, StopReason> {
        let admission = source.state.admit_event::<E>(&record.view(), &headers);
        let Admission { disposition, passing } =
            admission.map_err(|refusal| source.stop(record.offset, refusal))?;
        let (parked, _) = self.parking.uncommitted();
        let taken = self.park_placed(source, record.source, passing.placed());
        let taken = taken.and_then(|()| self.take(source, &record, headers, disposition, project));
        match taken {
            Ok(_) => source.state.advance(passing),
            // What waits has a place only if the event behind it has one.
            Err(_) => self.parking.back_to(parked),
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
        project: impl FnOnce(&Source, &Opened<'_, E>, &[u8], &mut Parking) -> Result<(), StopReason>,
    ) -> Result<Taken, StopReason> {
        match disposition {
            Disposition::Event(EventRead::Opened(opened)) => {
                let (index, position, id) = (record.source, opened.position, opened.id);
                match self.course(index, position, id, record.key) {
                    Course::LeaveOut => {}
                    Course::Project if self.skips.is_empty() => {
                        project(source, &opened, &[], &mut self.parking)?;
                    }
                    Course::Project => {
                        let time_us = opened.time.as_microsecond();
                        let left_out = self.skips.views(index, &source.id, position, time_us);
                        project(source, &opened, &left_out, &mut self.parking)?;
                    }
                    Course::Park => {
                        let waits = Waits::event(record, headers(), position, id);
                        self.parking.park(&source.id, index, waits, None)?;
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
            if !self.skips.is_left_out(index, record.position, record.id) {
                let reason = source.unowned(record.offset, record.why.clone());
                self.parking.park(&source.id, index, Waits::placed(record), Some(reason))?;
            }
        }
        Ok(())
    }

    fn park_unreadable(
        &mut self,
        source: &Source,
        record: &Incoming<'_>,
        headers: Headers,
        envelope: &Envelope<'_>,
        error: DataError,
    ) -> Result<(), StopReason> {
        let Envelope { position, id, .. } = *envelope;
        if self.skips.is_left_out(record.source, position, id) {
            return Ok(());
        }
        let reason = StopReason::unreadable(source.at(record.offset, Some(id)), error.into());
        let waits = Waits::event(record, headers, position, id);
        self.parking.park(&source.id, record.source, waits, Some(reason))
    }

    /// What becomes of the event of a position that comes next.
    #[inline]
    fn course(&self, index: usize, position: u64, id: Uuid, key: Option<&[u8]>) -> Course {
        if !self.skips.is_empty() && self.skips.is_left_out(index, position, id) {
            return Course::LeaveOut;
        }
        match self.parking.waits(index, 0, key.unwrap_or_default()) {
            true => Course::Park,
            false => Course::Project,
        }
    }
}
