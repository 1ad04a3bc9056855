//! The writing half of a build: from runs to rows.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use daybook_event::event_data::EventData;
use daybook_store::Digest;

use super::build::Build;
use super::options::ReplayError;
use super::progress::ReplayProgress;
use super::threads::{Syncing, join, wait};
use super::work::{lower_priority, run_name};
use super::write::{Writing, WrittenUnit, sync_units};
use crate::bulk::{Run, UnitEntry, plan};
use crate::checkpoint::SourceId;
use crate::quarantine::Parking;
use crate::store::StoreError;

/// Units that wait to be synced; past it their writers wait.
const UNITS_WAITING_MAX: usize = 16;

impl<E: EventData> Build<'_, E> {
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
        let views: Vec<_> = self.projection.views.iter().map(|view| (view.id, view.fold)).collect();
        let threads = self.options.threads.clamp(1, units.len().max(1));
        let writing = Writing {
            work: &self.work,
            generation: &self.generation,
            units: &units,
            runs: &runs,
            sources: &sources,
            views: &views,
            memory_bytes_max: self.options.memory_bytes_max / 2 / threads,
        };
        let syncing = self.syncing.take();
        self.write_units(&writing, syncing, threads, on_progress)?;
        self.check_cancelled()?;
        Ok(self.total(changes)?)
    }

    fn write_units(
        &self,
        writing: &Writing<'_>,
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
                if index >= writing.units.len() {
                    break;
                }
                if let Some(written) = writing.unit(index, &mut parking)? {
                    // The other side ends early only after an error of its own, which is told.
                    let _gone = sender.send(written);
                }
            }
            Ok(())
        };
        let write = &write;
        let (generation, journal) = (&self.generation, &self.journal);
        thread::scope(|scope| {
            let syncing = scope.spawn(move || {
                let planned = writing.units.to_vec();
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
            self.tell_until(done, &self.pace, on_progress);
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
        let damaged = |what: String| StoreError::damaged("read", &self.generation.build_path(), what);
        let journal = self.journal.read();
        let digest =
            journal.digest().ok_or_else(|| damaged("the journal has no digest of a unit".to_owned()))?;
        let folded: u64 = journal.units.iter().map(|unit| unit.changes).sum();
        if folded != changes {
            return Err(damaged(format!(
                "{changes} changes were sorted, {folded} were folded: a run is damaged"
            )));
        }
        Ok(digest)
    }
}
