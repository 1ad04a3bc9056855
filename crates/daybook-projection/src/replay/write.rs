//! The writing half of a replay: each thread takes one unit of the key space after the other, merges the runs, folds
//! every key, and writes its rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use daybook_event::event_data::EventData;
use daybook_store::Digest;
use uuid::Uuid;

use crate::change::ChangeAt;
use crate::checkpoint::SourceId;
use crate::external_sort::{
    BlockWriter, ChangeError, JournalFile, KeyFold, Merge, RowParking, Run, Unit, UnitEntry, plan,
};
use crate::generation::Generation;
use crate::quarantine::Parking;
use crate::replay::build::{Build, Syncing, join, wait};
use crate::replay::options::ReplayError;
use crate::replay::parked::ParkedFile;
use crate::replay::progress::ReplayProgress;
use crate::replay::work::{lower_priority, run_name};
use crate::stop::StopReason;
use crate::store::StoreError;
use crate::view::FoldError;

/// Least bytes read of a run at once: below it, reading costs more than merging.
const READ_BYTES_MIN: usize = 16 << 10;
/// More than this at once gains nothing.
const READ_BYTES_MAX: usize = 256 << 10;
/// How long written units may wait to become durable: syncing more often slows down those who write.
const SYNC_EVERY: Duration = Duration::from_secs(5);
/// Units that wait to be synced; past it their writers wait.
const UNITS_WAITING_MAX: usize = 16;
/// Changes between two checks of the request to stop.
const CHANGES_PER_CHECK: u64 = 4_096;

pub(super) struct WrittenUnit {
    index: usize,
    digest: Digest,
    changes: u64,
    /// Changes that contradict their rows, and those behind them.
    parked: Option<ParkedFile>,
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
        let parked = units.iter().filter_map(|unit| unit.parked.as_ref()).map(ParkedFile::sync);
        let parked: Vec<_> = parked.collect::<Result<_, _>>()?;
        journal.update(|journal| {
            journal.parked.extend(parked);
            for WrittenUnit { index, digest, changes, .. } in units {
                journal.units[index].set_done(digest, changes);
            }
        })?;
    }
    Ok(())
}

fn gather(first: WrittenUnit, written: &Receiver<WrittenUnit>) -> Vec<WrittenUnit> {
    let until = Instant::now() + SYNC_EVERY;
    let mut units = vec![first];
    while let Ok(unit) = written.recv_timeout(until.saturating_duration_since(Instant::now())) {
        units.push(unit);
    }
    units
}

/// What all threads that write have in common.
struct Plan {
    units: Vec<UnitEntry>,
    runs: Vec<Arc<Run>>,
    sources: Vec<SourceId>,
    /// Bytes read of a run at once.
    read_bytes: usize,
}

impl<E: EventData> Build<'_, E> {
    /// Writes one unit, by its index, unless that was done before. It is not durable yet.
    fn unit(
        &self,
        plan: &Plan,
        index: usize,
        parking: &mut Parking,
    ) -> Result<Option<WrittenUnit>, ReplayError> {
        let unit = match plan.units.get(index) {
            Some(entry) if !entry.is_done() => entry.unit(),
            _ => return Ok(None),
        };
        let Some(view) = self.projection.views.get(unit.view) else { return Ok(None) };
        let mut writer = BlockWriter::new(&self.generation, view.id, Uuid::from_u128(unit.from))?;
        let row_parking = RowParking::new(view.id, &plan.sources, parking);
        let changes = self.merge(plan, unit, (view.fold)().as_mut(), row_parking, &mut writer)?;
        if self.work.is_stopping() {
            return Ok(None);
        }
        let path = self.generation.build_path().join(format!("unit-{index:06}"));
        let parked = ParkedFile::write(&path, &parking.take_uncommitted())?;
        Ok(Some(WrittenUnit { index, digest: writer.finish()?, changes, parked }))
    }

    /// The number of changes that were folded, or wait. A row that an event contradicts is folded again: without that event, and without
    /// what comes behind it of its partition.
    fn merge(
        &self,
        plan: &Plan,
        mut unit: Unit,
        fold: &mut dyn KeyFold,
        mut row_parking: RowParking<'_>,
        to: &mut BlockWriter<'_>,
    ) -> Result<u64, ReplayError> {
        let open = |unit: &Unit| {
            let merge = Merge::open(&plan.runs, unit, plan.read_bytes);
            merge.map_err(|error| self.unreadable(&error))
        };
        let mut merge = open(&unit)?;
        let (mut at_work, mut changes, mut before_row, mut counted) = (None, 0, 0, 0);
        while let Some((key, group)) = merge.next_group().map_err(|error| self.unreadable(&error))? {
            if at_work != Some(key) {
                if let Some(before) = at_work.replace(key) {
                    fold.finish(Uuid::from_u128(before), to)?;
                }
                before_row = changes;
                row_parking.begin_row();
            }
            match fold.fold(Uuid::from_u128(key), group, &mut row_parking, to) {
                Ok(folded) => changes += folded,
                Err(ChangeError::Fold(at, error @ FoldError::Contradiction { .. })) => {
                    row_parking.begin_again(at, self.contradiction(plan, at, error)?);
                    fold.begin_again(to);
                    (unit.from, changes) = (key, before_row);
                    merge = open(&unit)?;
                }
                Err(error) => return Err(self.explain(plan, error)),
            }
            if changes >= counted + CHANGES_PER_CHECK {
                self.work.meter.folded.fetch_add(changes - counted, Ordering::Relaxed);
                counted = changes;
                if self.work.is_stopping() {
                    return Ok(changes);
                }
            }
        }
        if let Some(last) = at_work {
            fold.finish(Uuid::from_u128(last), to)?;
        }
        self.work.meter.folded.fetch_add(changes.saturating_sub(counted), Ordering::Relaxed);
        Ok(changes)
    }

    fn explain(&self, plan: &Plan, error: ChangeError) -> ReplayError {
        match error {
            ChangeError::Store(error) => error.into(),
            ChangeError::Stopped(reason) => reason.into(),
            ChangeError::Damaged(error) => self.damaged(error).into(),
            ChangeError::Fold(at, error) => {
                self.contradiction(plan, at, error).map_or_else(Into::into, Into::into)
            }
        }
    }

    fn contradiction(&self, plan: &Plan, at: ChangeAt, error: FoldError) -> Result<StopReason, StoreError> {
        let source = plan.sources.get(at.source as usize);
        let source = source.ok_or_else(|| self.damaged("a change of an unknown partition"))?;
        Ok(StopReason::fold(source.at(at.offset, None), error))
    }

    fn unreadable(&self, error: &io::Error) -> StoreError {
        StoreError::of_file("read", &self.generation.build_path(), error)
    }

    fn damaged(&self, what: impl ToString) -> StoreError {
        StoreError::damaged("read", &self.generation.build_path(), what)
    }

    /// Merges the runs, folds every key and writes its rows; the digest of all of them.
    pub(super) fn write(
        &mut self,
        on_progress: &mut impl FnMut(ReplayProgress),
    ) -> Result<Digest, ReplayError> {
        self.compact()?;
        let runs = self.open_runs(&self.work.runs())?;
        let changes: u64 = runs.iter().map(|run| run.changes()).sum();
        let units = self.plan(&runs);
        self.work.meter.to_fold.store(changes, Ordering::Relaxed);
        self.work.meter.folded.store(units.iter().map(|unit| unit.changes).sum(), Ordering::Relaxed);
        let sources: Vec<SourceId> = self.checkpoint().sources().map(|(id, _)| id.clone()).collect();
        let threads = self.options.threads.clamp(1, units.len().max(1));
        let read_bytes = self.options.memory_bytes_max / 2 / threads / runs.len().max(1);
        let read_bytes = read_bytes.clamp(READ_BYTES_MIN, READ_BYTES_MAX);
        let plan = Plan { units, runs, sources, read_bytes };
        let syncing = self.syncing.take();
        self.write_units(&plan, syncing, threads, on_progress)?;
        self.check_cancelled()?;
        Ok(self.total(changes)?)
    }

    fn write_units(
        &self,
        plan: &Plan,
        runs: Option<Syncing>,
        threads: usize,
        on_progress: &mut impl FnMut(ReplayProgress),
    ) -> Result<(), ReplayError> {
        let next = AtomicUsize::new(0);
        let (sender, receiver) = sync_channel(UNITS_WAITING_MAX);
        let write = |sender: SyncSender<WrittenUnit>| {
            lower_priority();
            let mut parking = Parking::counting(&self.totals, self.options.stop_at_quarantine);
            while !self.work.is_stopping() {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= plan.units.len() {
                    break;
                }
                if let Some(written) = self.unit(plan, index, &mut parking)? {
                    // The other side ends early only after an error of its own, which is reported.
                    let _gone = sender.send(written);
                }
            }
            Ok(())
        };
        let write = &write;
        let (generation, journal) = (&self.generation, &self.journal);
        thread::scope(|scope| {
            let syncing = scope.spawn(move || {
                let planned = plan.units.clone();
                let synced = sync_units(generation, journal, planned, || wait(runs), &receiver);
                self.work.noting_failure(synced)
            });
            let writers: Vec<_> = (0..threads)
                .map(|_| {
                    let sender = sender.clone();
                    scope.spawn(move || self.work.noting_failure(write(sender)))
                })
                .collect();
            drop(sender);
            let done = || writers.iter().all(thread::ScopedJoinHandle::is_finished);
            self.report_until(done, on_progress);
            let written = writers.into_iter().map(join).fold(Ok(()), Result::and);
            join(syncing).and(written)
        })
    }

    /// Merges runs that follow one another until all that is left can be merged at once.
    fn compact(&mut self) -> Result<(), ReplayError> {
        let build = self.generation.build_path();
        loop {
            let names = self.work.runs();
            if names.len() <= self.options.runs_merged_max {
                return Ok(());
            }
            wait(self.syncing.take())?;
            let mut merged = Vec::new();
            for names in names.chunks(self.options.runs_merged_max) {
                self.check_cancelled()?;
                let path = self.work.next_run();
                let file = Run::merge(&path, &self.open_runs(names)?)?;
                file.sync_all().map_err(|error| StoreError::new("sync", &path, error))?;
                merged.push(run_name(&path));
            }
            self.journal.update(|journal| journal.runs.clone_from(&merged))?;
            self.work.set_runs(merged);
            for name in &names {
                let path = build.join(name);
                fs::remove_file(&path).map_err(|error| StoreError::new("remove", &path, error))?;
            }
        }
    }

    fn open_runs(&self, names: &[String]) -> Result<Vec<Arc<Run>>, StoreError> {
        let build = self.generation.build_path();
        names.iter().map(|name| Run::open(&build.join(name)).map(Arc::new)).collect()
    }

    /// The units of the journal, or, if the log has just been read, those that it will name.
    fn plan(&self, runs: &[Arc<Run>]) -> Vec<UnitEntry> {
        let units = self.journal.read().units.clone();
        if !units.is_empty() {
            return units;
        }
        plan(runs, self.projection.views.len()).iter().map(UnitEntry::new).collect()
    }

    /// The digest of all units' rows, once it is certain that nothing was left out.
    fn total(&self, changes: u64) -> Result<Digest, StoreError> {
        let journal = self.journal.read();
        let digest = journal.digest().ok_or_else(|| self.damaged("the journal has no digest of a unit"))?;
        let folded: u64 = journal.units.iter().map(|unit| unit.changes).sum();
        if folded != changes {
            let what = format!("{changes} changes were sorted, {folded} were folded: a run is damaged");
            return Err(self.damaged(what));
        }
        Ok(digest)
    }
}
