//! One partition that is followed, and the events of it that wait to be written.

use event_log::Record;
use event_log::sabotage::{self, Fault};
use schemas::sequence::{Sequence, Verdict};

use crate::kernel::aggregate::Followed;
use crate::kernel::answer::Written;
use crate::kernel::incoming::{self, IncomingFault};
use crate::kernel::keys;
use crate::kernel::rows::{Reference, encode_reached};
use crate::kernel::store::Writes;

/// One partition that is followed.
pub(super) struct Source {
    pub(super) table: usize,
    pub(super) partition: i32,
    pub(super) next_offset: i64,
    pub(super) sequence: Sequence,
    /// Followed up to here when the service started: from then on it is ready.
    pub(super) ready_offset: i64,
}

impl Source {
    /// Applies a record, unless it was applied before.
    pub(super) fn apply(
        &mut self,
        followed: &Followed,
        record: &Record<'_>,
        batch: &mut Batch,
    ) -> Result<(), IncomingFault> {
        let judged = incoming::judge(record, followed.service, &self.sequence)?;
        if let Some(envelope) = &judged.event {
            let said = (followed.read)(&envelope.event_type, &envelope.data)
                .map_err(|source| IncomingFault::Data { id: envelope.id, source })?;
            if let Some((subject, standing)) = said
                && !sabotage::strikes(Fault::ForgetFact)
            {
                let said_at = Written { partition: self.partition, position: envelope.position };
                let reference = Reference { standing, said_at };
                batch.writes.push((keys::reference(self.table, subject), reference.encode()));
            }
        }
        match judged.verdict {
            Verdict::Apply | Verdict::Duplicate => batch.followed += 1,
            Verdict::Superseded => batch.superseded += 1,
            Verdict::Claim => {}
        }
        judged.pass(&mut self.sequence, record.offset());
        self.next_offset = record.offset() + 1;
        Ok(())
    }

    pub(super) fn checkpoint(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let checkpoint = encode_reached(&self.sequence.reached());
        (keys::checkpoint(self.table, self.partition), Some(checkpoint))
    }
}

/// Records that are read and not yet handed over.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) writes: Writes,
    pub(super) touched: Vec<usize>,
    pub(super) records: usize,
    /// Events among them, also repeated ones.
    pub(super) followed: u64,
    /// Records of superseded writers among them.
    pub(super) superseded: u64,
}
