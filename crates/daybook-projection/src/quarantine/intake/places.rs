//! Records without a readable position, until the next one of their partition tells where they belong.

use daybook_event::sequence::Verdict;

use super::{Intake, Placed};
use crate::engine::Incoming;
use crate::quarantine::record::{Headers, key_text};
use crate::quarantine::unplaced::Unplaced;
use crate::quarantine::{Course, PARKED_RECORD_BYTES_MAX, UNPLACED_RECORDS_MAX};
use crate::source::{Source, Stamp};
use crate::stop::StopReason;

impl Intake {
    /// The check of the next record: first those before it take their places that have none of their own.
    #[inline]
    pub(crate) fn judge(
        &mut self,
        source: &mut Source,
        stamp: &Stamp<'_>,
        index: usize,
        offset: i64,
    ) -> Result<Verdict, StopReason> {
        if !source.unplaced.is_empty() && source.counts(stamp) {
            self.place(source, index, stamp)?;
        }
        source.check(stamp, offset)
    }

    pub(super) fn set_aside_unplaced(
        &mut self,
        source: &mut Source,
        record: Incoming<'_>,
        headers: Headers,
        reason: StopReason,
    ) -> Result<Verdict, StopReason> {
        let Some(key) = key_text(record.key) else { return Err(reason) };
        let unplaced = Unplaced::new(record, key, headers, reason);
        let waits = source.unplaced.iter().any(|known| known.id == unplaced.id);
        if waits || self.made_ids.contains(&(record.source, unplaced.id)) {
            source.passed_record(Verdict::Duplicate, source.epoch(), unplaced.id, record.offset);
            return Ok(Verdict::Duplicate);
        }
        let position = source.next_position() + source.unplaced.len() as u64;
        let is_left_out = self.skipped.get(&(record.source, position)) == Some(&unplaced.id);
        if self.stops && !is_left_out {
            return Err(unplaced.reason);
        }
        if source.unplaced.len() == UNPLACED_RECORDS_MAX || unplaced.bytes() > PARKED_RECORD_BYTES_MAX {
            return Err(unplaced.reason);
        }
        source.unplaced.push(unplaced);
        Ok(Verdict::Apply)
    }

    /// The record that has a position comes behind all that have none: they have those before it, or none at all.
    fn place(&mut self, source: &mut Source, index: usize, stamp: &Stamp<'_>) -> Result<(), StopReason> {
        let position = stamp.position;
        let next = source.next_position();
        let behind = next + source.unplaced.len() as u64;
        if position < next || position > behind {
            // Repeated, or behind a gap: the check tells.
            return Ok(());
        }
        while let Some(unplaced) = source.unplaced.first() {
            let (reason, headers) = (unplaced.reason.clone(), unplaced.headers.clone());
            if position < behind {
                return Err(reason);
            }
            let (record, id, offset) = (unplaced.as_incoming(index), unplaced.id, unplaced.offset);
            let position = source.next_position();
            if self.look_up(index, position, id, record.key) != Course::LeaveOut {
                let placed = Placed { record, headers, position, id, has_event_id: false };
                self.take(source, placed, Some(reason))?;
            }
            self.made_ids.insert((index, id));
            source.unplaced.remove(0);
            // How its own service calls the last of them, the event behind it tells.
            let named = stamp.previous_id.filter(|_| source.unplaced.is_empty());
            source.passed_record(Verdict::Apply, source.epoch(), named.unwrap_or(id), offset);
        }
        Ok(())
    }
}
