//! Rows and checkpoint are written together, or dropped together.

use std::sync::Arc;

use daybook_event::event_data::EventData;

use super::Engine;
use crate::checkpoint::Checkpoint;
use crate::generation::Generation;
use crate::store::StoreError;

impl<E: EventData> Engine<E> {
    /// Writes all changed rows together with the checkpoint.
    ///
    /// # Errors
    /// [`StoreError`]; the engine must then be given up.
    pub fn commit(&mut self, stored: &Generation) -> Result<Arc<Checkpoint>, StoreError> {
        let mut commit = stored.begin();
        commit.park(self.intake.take_uncommitted())?;
        for table in &mut self.tables {
            table.write(&mut commit)?;
        }
        let changed = self.sources.iter().zip(&self.changed).filter(|(_, changed)| **changed);
        let reached = changed.map(|(source, _)| (source.id.clone(), source.checkpoint()));
        let checkpoint = commit.finish(reached)?;
        self.intake.committed();
        self.changed.fill(false);
        self.committed = self.counts;
        self.uncommitted = false;
        if self.cache_bytes() > self.limits.cache_bytes_max {
            self.tables.iter_mut().for_each(|table| table.forget());
        }
        Ok(checkpoint)
    }

    /// Drops everything since the last commit; records are to be read again from `checkpoint`.
    pub fn forget(&mut self, checkpoint: &Checkpoint) {
        let (counts, intake) = (self.committed, self.intake.forget());
        *self = Self { intake, ..Self::new(self.projection, checkpoint, self.limits) };
        (self.counts, self.committed) = (counts, counts);
    }
}
