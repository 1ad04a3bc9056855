//! One partition that is followed, and the events of it that wait to be written.

use event_log::Record;
use schemas::sequence::Sequence;

use crate::kernel::aggregate::Followed;
use crate::kernel::answer::Written;
use crate::kernel::incoming::{self, IncomingFault};
use crate::kernel::keys;
use crate::kernel::rows::{FollowCheckpoint, Reference};
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
        let Some(envelope) = incoming::open(record, followed.service, &self.sequence)? else {
            return Ok(());
        };
        let id = envelope.id;
        let said = (followed.read)(&envelope.event_type, &envelope.data)
            .map_err(|source| IncomingFault::Data { id, source })?;
        if let Some((subject, standing)) = said {
            let said_at = Written { partition: self.partition, position: self.sequence.next_position() };
            let reference = Reference { standing, said_at };
            batch.writes.push((keys::reference(self.table, subject), reference.encode()));
        }
        self.sequence.advance(id);
        Ok(())
    }

    pub(super) fn checkpoint(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let checkpoint = FollowCheckpoint {
            next_offset: self.next_offset,
            next_position: self.sequence.next_position(),
            last_id: self.sequence.last_id(),
        };
        (keys::checkpoint(self.table, self.partition), Some(checkpoint.encode()))
    }
}

/// Events that are read and not yet handed over.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) writes: Writes,
    pub(super) touched: Vec<usize>,
    pub(super) events: usize,
}
