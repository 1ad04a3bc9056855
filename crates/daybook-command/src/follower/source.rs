//! One partition that is followed, and the events of it that wait to be written.

use daybook_kafka::Record;
use daybook_service::fires;
use daybook_store::Writes;
use daybook_stream::{Admission, Disposition, PartitionState};

use super::quarantine::Quarantine;
use crate::followed::{At, Place};
use crate::incoming::{self, IncomingFault};
use crate::keys;
use crate::outcome::Written;
use crate::references::{Followed, reference_row};
use crate::rows::Checkpoint;

pub(super) struct Source {
    pub(super) table: usize,
    /// Of what is kept.
    pub(super) form: u32,
    pub(super) state: PartitionState,
    /// Followed up to here, where it ended at the start, it is ready. None while nobody has told where that is.
    pub(super) ready_offset: Option<i64>,
    /// Why nothing is read of it: nobody answers for it.
    pub(super) away: Option<String>,
}

impl Source {
    /// How far it has been followed, for those who ask.
    pub(super) fn at(&self) -> At {
        At {
            next_position: self.state.next_position(),
            next_offset: self.state.next_offset(),
            is_ready: self.ready_offset.is_some_and(|ready| self.state.next_offset() >= ready),
            set_aside: self.state.set_aside(),
            resume_offset: self.state.resume_offset(),
        }
    }

    pub(super) fn place(&self) -> Place {
        (self.table, self.state.partition())
    }

    /// Applies a record, unless it was applied before.
    pub(super) fn apply(
        &mut self,
        followed: &Followed,
        record: &Record<'_>,
        quarantine: &mut Quarantine,
        batch: &mut Batch,
    ) -> Result<(), IncomingFault> {
        let (view, partition) = (incoming::view(record), self.state.partition());
        let Admission { disposition, passing } = self.state.admit_envelope(&view, || record.headers())?;
        for placed in passing.placed() {
            batch.write(quarantine.park_placed(self.table, partition, placed)?);
        }
        match disposition {
            Disposition::Event(envelope) => {
                let read = match quarantine.waits(self.table, envelope.subject) {
                    true => Err(None),
                    false => (followed.read)(&envelope.event_type, &envelope.data).map_err(Some),
                };
                let told_at = Written { partition, position: envelope.position };
                match read {
                    Ok(_) if fires("forget-fact") => {}
                    Ok(update) => batch.write(reference_row(self.table, followed.form, update, told_at)),
                    Err(unreadable) => batch.write(quarantine.park(self.table, &envelope, unreadable)?),
                }
                batch.followed += 1;
            }
            Disposition::Repeated => batch.followed += 1,
            Disposition::Fenced => batch.superseded += 1,
            Disposition::Claim(_) => {}
            Disposition::SetAside { why, is_new: true } => {
                quarantine.set_aside.note(followed.topic, partition, &view, &why);
            }
            Disposition::SetAside { .. } => {}
        }
        self.state.advance(passing);
        Ok(())
    }

    pub(super) fn checkpoint(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let (reached, set_aside) = (self.state.reached(), self.state.set_aside());
        let checkpoint = Checkpoint { reached, set_aside, form: self.form };
        (keys::checkpoint(self.table, self.state.partition()), Some(checkpoint.encode()))
    }
}

/// Records that are read and not yet handed over.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) writes: Writes,
    pub(super) touched: Vec<usize>,
    pub(super) records: usize,
    /// Bytes of what is to be written.
    pub(super) bytes: usize,
    /// Events among them, also repeated ones.
    pub(super) followed: u64,
    /// Records of superseded writers among them.
    pub(super) superseded: u64,
}

impl Batch {
    fn write(&mut self, writes: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>) {
        for (key, value) in writes {
            self.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
            self.writes.push((key, value));
        }
    }
}
