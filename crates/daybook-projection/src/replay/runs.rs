//! The reading half of a build: from the log to runs.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use daybook_event::event_data::EventData;
use daybook_kafka::Kafka;

use super::build::Build;
use super::options::ReplayError;
use super::progress::ReplayProgress;
use super::read::{Reading, Written, sync_runs};
use super::share::{Share, shares};
use super::threads::{Syncing, join, wait};
use super::work::lower_priority;
use crate::bulk::Sorter;
use crate::quarantine::{Intake, ParkedRecord};
use crate::source;

/// Largest run: past it sorting leaves the processor's caches for little gain.
const RUN_BYTES_MAX: usize = 64 << 20;
/// Runs that wait to be synced; past it their readers wait.
const RUNS_WAITING_MAX: usize = 2;

impl<E: EventData> Build<'_, E> {
    /// Reads all partitions up to their ends. Runs are in the journal when it returns, or will be once
    /// [`Build::syncing`] has ended.
    pub(super) fn read(
        &mut self,
        kafka: &Kafka,
        ends: &[i64],
        waiting: &[ParkedRecord],
        on_progress: &mut impl FnMut(ReplayProgress),
    ) -> Result<(), ReplayError> {
        let threads = self.options.threads.max(1);
        let shares = shares(source::sources(&self.projection, &self.checkpoint()), ends, threads);
        let run_bytes = (self.options.memory_bytes_max / 2 / threads).min(RUN_BYTES_MAX);
        let views = self.projection.views;
        let packs = || views.iter().map(|view| (view.id, view.pack)).collect::<Vec<_>>();
        let (sender, receiver) = sync_channel(RUNS_WAITING_MAX);
        let syncing = self.start_syncing(receiver);
        let work = &self.work;
        let read = thread::scope(|scope| {
            let start = |mut share: Vec<Share>| {
                let sorter = Sorter::new(views.len(), run_bytes);
                let intake = self.intake(&mut share, waiting);
                let reading = Reading::new(work, packs(), share, sorter, intake, sender.clone());
                scope.spawn(move || {
                    lower_priority();
                    work.noting_failure(reading.run(kafka))
                })
            };
            let readers: Vec<_> = shares.into_iter().map(start).collect();
            drop(sender);
            let done = || readers.iter().all(thread::ScopedJoinHandle::is_finished);
            self.tell_until(done, &self.pace, on_progress);
            readers.into_iter().map(join).fold(Ok(()), Result::and)
        });
        if read.is_err() || self.work.is_stopping() {
            wait(Some(syncing))?;
            return read.and_then(|()| self.check_cancelled());
        }
        self.syncing = Some(syncing);
        Ok(())
    }

    /// The thread that makes runs durable.
    fn start_syncing(&self, written: Receiver<Written>) -> Syncing {
        let (journal, failure) = (self.journal.clone(), self.work.failure());
        Syncing::start(move || sync_runs(&journal, &written).inspect_err(|_| failure.request()))
    }

    /// What becomes of a thread's records that cannot be projected.
    fn intake(&self, share: &mut [Share], waiting: &[ParkedRecord]) -> Intake {
        let journal = self.journal.read();
        let mut intake = Intake::counting(&self.totals, self.options.stop_at_quarantine);
        for (number, source, _) in share {
            let index = *number as usize;
            for record in waiting {
                if record.source == source.id {
                    intake.resume_record(index, source, record);
                }
            }
            intake.leave_out(&journal.skipped, index, source);
        }
        intake
    }
}
