//! The writing half of a replay: each thread takes one unit of the key space after the other, merges the runs, folds
//! every key, and writes its rows.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use daybook_store::Digest;
use uuid::Uuid;

use super::options::ReplayError;
use super::unfoldable::Unfolded;
use super::work::Work;
use crate::bulk::{BlockWriter, ChangeError, JournalFile, KeyFold, Merge, Run, Unit, UnitEntry};
use crate::checkpoint::SourceId;
use crate::generation::Generation;
use crate::stop::{RecordAt, StopReason};
use crate::store::StoreError;

/// Least bytes read of a run at once: below it, reading costs more than merging.
const READ_BYTES_MIN: usize = 16 << 10;
/// More than this at once gains nothing.
const READ_BYTES_MAX: usize = 256 << 10;
/// How long written units may wait to become durable: syncing more often slows down those who write.
const SYNC_EVERY: Duration = Duration::from_secs(5);
/// Changes between two looks at the request to stop.
const CHANGES_PER_LOOK: u64 = 4_096;

/// Makes a fold of one view.
pub(super) type NewFold = fn() -> Box<dyn KeyFold>;

/// A unit whose rows have been written.
pub(super) struct WrittenUnit {
    index: usize,
    digest: Digest,
    changes: u64,
}

/// Makes units durable every few seconds and at the end, and notes them in the journal, while the next ones are being
/// written. First it waits for the runs that they are made from: `runs` makes those durable.
pub(super) fn sync_units(
    generation: &Generation,
    journal: &JournalFile,
    planned: Vec<UnitEntry>,
    runs: impl FnOnce() -> Result<(), ReplayError>,
    written: &Receiver<WrittenUnit>,
) -> Result<(), ReplayError> {
    runs()?;
    journal.update(|journal| journal.units = planned)?;
    while let Ok(first) = written.recv() {
        let units = gather(first, written);
        generation.sync()?;
        journal.update(|journal| {
            for WrittenUnit { index, digest, changes } in units {
                journal.units[index].set_done(digest, changes);
            }
        })?;
    }
    Ok(())
}

/// What is written within a while.
fn gather(first: WrittenUnit, written: &Receiver<WrittenUnit>) -> Vec<WrittenUnit> {
    let until = Instant::now() + SYNC_EVERY;
    let mut units = vec![first];
    while let Ok(unit) = written.recv_timeout(until.saturating_duration_since(Instant::now())) {
        units.push(unit);
    }
    units
}

/// One thread that writes.
pub(super) struct Writing<'w> {
    pub(super) work: &'w Work<'w>,
    pub(super) generation: &'w Generation,
    pub(super) units: &'w [UnitEntry],
    pub(super) runs: &'w [Arc<Run>],
    pub(super) sources: &'w [SourceId],
    /// Number of every view, and a fold of it.
    pub(super) views: &'w [(u8, NewFold)],
    /// Bytes that this thread may hold of all runs.
    pub(super) memory_bytes_max: usize,
    /// Events that cannot be folded.
    pub(super) unfolded: &'w Unfolded,
    /// Whether they wait; else the first one stops the replay.
    pub(super) parks: bool,
}

impl Writing<'_> {
    /// Writes one unit, by its index, unless that was done before. It is not durable yet.
    pub(super) fn unit(&self, index: usize) -> Result<Option<WrittenUnit>, ReplayError> {
        let unit = match self.units.get(index) {
            Some(entry) if !entry.is_done() => entry.unit(),
            _ => return Ok(None),
        };
        let Some((view, fold)) = self.views.get(unit.view) else { return Ok(None) };
        let mut writer = BlockWriter::new(self.generation, *view, Uuid::from_u128(unit.from))?;
        let changes = self.merge(&unit, fold().as_mut(), &mut writer)?;
        let Some(changes) = changes.filter(|_| !self.work.is_stopping()) else {
            return Ok(None);
        };
        Ok(Some(WrittenUnit { index, digest: writer.finish()?, changes }))
    }

    /// The number of changes that were folded; none if one could not be.
    fn merge(
        &self,
        unit: &Unit,
        fold: &mut dyn KeyFold,
        to: &mut BlockWriter<'_>,
    ) -> Result<Option<u64>, ReplayError> {
        let read_bytes =
            (self.memory_bytes_max / self.runs.len().max(1)).clamp(READ_BYTES_MIN, READ_BYTES_MAX);
        let mut merge = Merge::open(self.runs, unit, read_bytes).map_err(|error| self.unreadable(&error))?;
        let (mut at_work, mut changes, mut told) = (None, 0, 0);
        // The rest of a row that an event contradicts is of no use: the build begins anew.
        let mut given_up = None;
        while let Some((key, group)) = merge.next_group().map_err(|error| self.unreadable(&error))? {
            if let Some(before) = at_work.replace(key)
                && before != key
            {
                fold.finish(Uuid::from_u128(before), to)?;
            }
            if given_up == Some(key) {
                continue;
            }
            match fold.fold(Uuid::from_u128(key), group, self.sources, to) {
                Ok(folded) => changes += folded,
                Err(error) if self.note(&error) => given_up = Some(key),
                Err(error) => return Err(self.explain(error)),
            }
            if changes - told >= CHANGES_PER_LOOK {
                self.work.meter.folded.fetch_add(changes - told, Ordering::Relaxed);
                told = changes;
                if self.work.is_stopping() {
                    return Ok(Some(changes));
                }
            }
        }
        if let Some(last) = at_work {
            fold.finish(Uuid::from_u128(last), to)?;
        }
        self.work.meter.folded.fetch_add(changes - told, Ordering::Relaxed);
        Ok(given_up.is_none().then_some(changes))
    }

    /// Notes an event that cannot be folded and will wait.
    fn note(&self, error: &ChangeError) -> bool {
        let ChangeError::Fold(at, error) = error else { return false };
        let source = self.sources.get(at.source as usize);
        self.parks && source.is_some_and(|source| self.unfolded.note(source, *at, error))
    }

    fn explain(&self, error: ChangeError) -> ReplayError {
        match error {
            ChangeError::Store(error) => error.into(),
            ChangeError::Damaged(error) => self.damaged(error).into(),
            ChangeError::Fold(change, error) => {
                let Some(id) = self.sources.get(change.source as usize) else {
                    return self.damaged("a change of an unknown partition").into();
                };
                let (topic, partition) = (id.topic.to_string(), id.partition);
                let at = RecordAt { topic, partition, offset: change.offset, event_id: None };
                StopReason::fold(Box::new(at), error).into()
            }
        }
    }

    fn unreadable(&self, error: &io::Error) -> StoreError {
        StoreError::of_file("read", &self.generation.build_path(), error)
    }

    fn damaged(&self, what: impl ToString) -> StoreError {
        StoreError::damaged("read", &self.generation.build_path(), what)
    }
}
