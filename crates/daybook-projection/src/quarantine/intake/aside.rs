//! Records that are no events for this program: writers' claims, and what cannot be opened.

use daybook_event::claim;
use daybook_event::envelope::{self, Envelope};
use daybook_event::event_data::EventError;
use daybook_event::sequence::Verdict;

use super::{Intake, Placed};
use crate::engine::Incoming;
use crate::quarantine::Course;
use crate::quarantine::record::Headers;
use crate::source::{Source, Stamp};
use crate::stop::StopReason;

impl Intake {
    /// Takes a record that is no event for this program: a writer's claim, or one that cannot be opened.
    pub(crate) fn set_aside(
        &mut self,
        source: &mut Source,
        record: Incoming<'_>,
        headers: Headers,
        error: EventError,
    ) -> Result<Verdict, StopReason> {
        let error = match claim::open(record.value) {
            Some(Ok(claim)) => {
                let verdict = source.check_claim(&claim, record.offset)?;
                source.passed_record(verdict, claim.epoch, claim.id, record.offset);
                return Ok(verdict);
            }
            Some(Err(unreadable)) => unreadable.into(),
            None => error,
        };
        let envelope = match &error {
            EventError::Data(_) => envelope::open(record.value, || headers.clone()).ok(),
            EventError::Envelope(_) => None,
        };
        let id = envelope.as_ref().map(|envelope| envelope.id);
        let reason = StopReason::unreadable(source.at(record.offset, id), error);
        match envelope {
            Some(envelope) => self.set_aside_placed(source, record, headers, &envelope, reason),
            None => self.set_aside_unplaced(source, record, headers, reason),
        }
    }
    /// Parks one whose envelope can be read, if its turn has come.
    fn set_aside_placed(
        &mut self,
        source: &mut Source,
        record: Incoming<'_>,
        headers: Headers,
        envelope: &Envelope<'_>,
        reason: StopReason,
    ) -> Result<Verdict, StopReason> {
        let Envelope { writer_epoch: epoch, position, id, previous_id, .. } = *envelope;
        let stamp = Stamp { from: &envelope.source, epoch, position, id, previous_id };
        let verdict = self.judge(source, &stamp, record.source, record.offset)?;
        let course = self.look_up(record.source, position, id, record.key);
        if verdict == Verdict::Apply && course != Course::LeaveOut {
            let placed = Placed { record, headers, position, id, has_event_id: true };
            self.take(source, placed, Some(reason))?;
        }
        source.passed(verdict, &stamp, record.offset);
        Ok(verdict)
    }
}
