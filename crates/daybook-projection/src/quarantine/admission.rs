//! Which records wait: those that cannot be projected, and those of a key that waits already.
//!
//! One rule for following and for a replay. What a fold is contradicted by waits for its view alone; [`Parking`] holds both until the driver
//! takes them.

use std::sync::Arc;

use daybook_event::envelope::Envelope;
use daybook_event::event_data::{EventData, Opened};
use daybook_stream::{Disposition, EventRead, Headers, Placed, SetAsideLog};
use uuid::Uuid;

use super::parking::{Parking, Totals};
use super::record::ParkedRecord;
use super::skipped::{SkippedEvent, Skips};
use super::{PARKED_RECORD_BYTES_MAX, Quarantine};
use crate::engine::Incoming;
use crate::sources::{Counts, Source};
use crate::stop::StopReason;

#[derive(Debug, Default)]
pub(crate) struct Admission {
    pub(crate) parking: Parking,
    pub(crate) counts: Counts,
    skips: Skips,
    set_aside: SetAsideLog,
}

impl Admission {
    /// One of several, whose records count together; with `stops`, none waits.
    pub(crate) fn counting(totals: &Arc<Totals>, stops: bool) -> Self {
        Self { parking: Parking::counting(totals, stops), ..Self::default() }
    }

    /// What is left when everything since the last commit is read again.
    pub(crate) fn forget(&mut self, counts: Counts) -> Self {
        Self { counts, set_aside: std::mem::take(&mut self.set_aside), ..Self::default() }
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
    /// Errors: [`StopReason`]; nothing of the record is noted then.
    pub(crate) fn admit<E: EventData>(
        &mut self,
        source: &mut Source,
        record: Incoming<'_>,
        headers: impl Fn() -> Headers,
        project: impl FnOnce(&Source, &Opened<'_, E>, &[u8], &mut Parking) -> Result<(), StopReason>,
    ) -> Result<(), StopReason> {
        let admission = source.state.admit_event::<E>(&record.view(), &headers);
        let daybook_stream::Admission { disposition, passing } =
            admission.map_err(|refusal| source.stop(record.offset, refusal))?;
        let (parked, _) = self.parking.uncommitted();
        let taken = self.park_placed(source, record.source, passing.placed());
        let taken = taken.and_then(|()| self.take(source, &record, headers, disposition, project));
        match taken {
            Ok(()) => source.state.advance(passing),
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
    ) -> Result<(), StopReason> {
        match disposition {
            Disposition::Event(EventRead::Opened(opened)) => {
                let (index, position, id) = (record.source, opened.position, opened.id);
                if self.parking.waits(index, 0, record.key.unwrap_or_default()) {
                    self.park(source, record, headers(), (position, id), None)?;
                } else if self.skips.is_empty() {
                    project(source, &opened, &[], &mut self.parking)?;
                } else if !self.skips.is_left_out(index, position, id) {
                    let time_us = opened.time.as_microsecond();
                    let left_out = self.skips.views(index, &source.id, position, time_us);
                    project(source, &opened, &left_out, &mut self.parking)?;
                }
            }
            Disposition::Event(EventRead::Unreadable { envelope: Envelope { position, id, .. }, error }) => {
                let reason = StopReason::unreadable(source.at(record.offset, Some(id)), error.into());
                self.park(source, record, headers(), (position, id), Some(reason))?;
            }
            Disposition::Repeated => self.counts.duplicates += 1,
            Disposition::Fenced => self.counts.fenced += 1,
            Disposition::Claim(_) => {}
            Disposition::SetAside { why, is_new } => {
                if is_new {
                    self.set_aside.note(&source.id.topic, source.id.partition, &record.view(), &why);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn report_set_aside(&mut self) {
        self.set_aside.tick();
    }

    /// Parks records that were set aside, and have positions after all.
    fn park_placed(&mut self, source: &Source, index: usize, placed: &[Placed]) -> Result<(), StopReason> {
        for record in placed {
            if self.skips.is_left_out(index, record.position, record.id) {
                continue;
            }
            let reason = source.unowned(record.offset, record.why.clone());
            // Of a larger one nothing but its place is there.
            if record.bytes > PARKED_RECORD_BYTES_MAX {
                return Err(reason);
            }
            self.parking.park(index, ParkedRecord::placed(&source.id, record), None, Some(reason))?;
        }
        Ok(())
    }

    /// Parks an event as a whole, unless it is left out.
    fn park(
        &mut self,
        source: &Source,
        record: &Incoming<'_>,
        headers: Headers,
        (position, id): (u64, Uuid),
        reason: Option<StopReason>,
    ) -> Result<(), StopReason> {
        if self.skips.is_left_out(record.source, position, id) {
            return Ok(());
        }
        let parked = ParkedRecord::event(&source.id, &record.view(), headers, position, id);
        self.parking.park(record.source, parked, Some(id), reason)
    }
}
