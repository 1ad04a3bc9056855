//! Builds a generation: begins or resumes it, reads, writes, finishes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use event_log::Kafka;
use event_log::topics::Watermarks;
use schemas::event_data::EventData;

use super::begin::{begin, next_run, resume};
use super::options::{ReplayError, ReplayOptions};
use super::parked;
use super::progress::{Pace, ReplayProgress};
use super::read::{Reading, sync_runs};
use super::unfoldable::{Folded, Unfoldable};
use super::work::{Work, lower_priority};
use crate::kernel::bulk::{JournalFile, Sorter};
use crate::kernel::checkpoint::Checkpoint;
use crate::kernel::generation::{self, Generation};
use crate::kernel::projection::Projection;
use crate::kernel::quarantine::{Intake, ParkedRecord, Totals};
use crate::kernel::read_model::ReadModel;
use crate::kernel::source::{self, Source};
use crate::kernel::store::StoreError;

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// Largest run: past it sorting leaves the processor's caches for little gain.
const RUN_BYTES_MAX: usize = 64 << 20;
/// Runs that wait to be synced; past it their readers wait.
const RUNS_WAITING_MAX: usize = 2;

/// A partition that one thread reads: its index in the checkpoint, its place, and its end offset.
pub(super) type Share = (u32, Source, i64);
/// Makes runs durable.
pub(super) type Syncing = thread::JoinHandle<Result<(), StoreError>>;

/// A build that was begun or resumed.
pub(super) struct Build<'b, E: 'static> {
    pub(super) options: &'b ReplayOptions,
    pub(super) projection: Projection<E>,
    pub(super) generation: Generation,
    pub(super) journal: Arc<JournalFile>,
    /// Makes the last runs durable, while rows are already being made from them.
    pub(super) syncing: Option<Syncing>,
    pub(super) work: Work<'b>,
    /// Where other processes see and speak to this replay.
    control: Option<&'b ReadModel>,
    pub(super) pace: Pace,
    pub(super) resumed: bool,
}

impl<'b, E: EventData> Build<'b, E> {
    /// Begins a build in `path`, or goes on with the one that is there. With `unfoldable`, which that one could not fold, it
    /// is begun anew.
    pub(super) fn open(
        name: &str,
        path: &Path,
        projection: Projection<E>,
        start: &Checkpoint,
        options: &'b ReplayOptions,
        cancelled: &'b AtomicBool,
        unfoldable: Option<Vec<Unfoldable>>,
    ) -> Result<Self, ReplayError> {
        let left = if unfoldable.is_none() && generation::is_unfinished(path) {
            resume(name, path, &projection, start, options)?
        } else {
            None
        };
        let resumed = left.is_some();
        let (generation, journal) = match left {
            Some(left) => left,
            None => begin(path, &projection, start, options, unfoldable.unwrap_or_default())?,
        };
        let done_before = journal.read().checkpoint.records();
        let (runs, parked) = {
            let journal = journal.read();
            (journal.runs.clone(), journal.parked.clone())
        };
        let next_run = next_run(&generation.build_path(), &[&runs[..], &parked].concat())?;
        let work = Work::new(options, generation.build_path(), runs, next_run, done_before, cancelled);
        let pace = Pace {
            generation: name.to_owned(),
            total: 0,
            done_before,
            began: Instant::now(),
            reading_took: None,
        };
        let journal = Arc::new(journal);
        Ok(Self {
            options,
            projection,
            generation,
            journal,
            syncing: None,
            work,
            control: None,
            pace,
            resumed,
        })
    }

    /// Lets other processes see and speak to this replay.
    pub(super) fn controlled_by(self, read_model: &'b ReadModel) -> Self {
        read_model.clear_control();
        Self { control: Some(read_model), ..self }
    }

    /// How far the build is that was begun before.
    pub(super) fn checkpoint(&self) -> Checkpoint {
        self.journal.read().checkpoint.clone()
    }

    /// Events that an earlier reading could not fold.
    pub(super) fn unfoldable(&self) -> Vec<Unfoldable> {
        self.journal.read().unfoldable.clone()
    }

    /// Everything, up to a finished generation, unless events cannot be folded. `log` is what every partition holds.
    pub(super) fn run(
        mut self,
        kafka: &Kafka,
        log: &[Watermarks],
        mut on_progress: impl FnMut(ReplayProgress),
    ) -> Result<Folded<(Generation, u64)>, ReplayError> {
        let ends = self.ends(log);
        self.pace.total = ends.iter().map(|end| end.unsigned_abs()).sum();
        on_progress(self.pace.progress(&self.work.meter));
        if !self.is_read() {
            self.read(kafka, &ends, &mut on_progress)?;
        }
        self.pace.reading_took = Some(self.pace.began.elapsed());
        if !self.journal.read().settled {
            let digest = match self.write(&mut on_progress)? {
                Ok(digest) => digest,
                Err(unfoldable) => return Ok(Err(unfoldable)),
            };
            let parked = parked::read(&self.generation.build_path(), &self.journal.read())?;
            parked::fill(&self.generation, &parked)?;
            self.generation.settle(self.checkpoint(), digest)?;
            self.journal.update(|journal| journal.settled = true)?;
        }
        self.generation.set_skipped(self.journal.read().skipped.clone());
        on_progress(self.pace.progress(&self.work.meter));
        let superseded = self.journal.read().superseded;
        let duplicates = self.journal.read().duplicates;
        if superseded > 0 {
            tracing::info!(superseded, "records of superseded writers were skipped");
        }
        Ok(Ok((self.generation, duplicates)))
    }

    /// Whether the log has been read to the goal.
    fn is_read(&self) -> bool {
        let journal = self.journal.read();
        journal.settled || !journal.units.is_empty()
    }

    /// End offset of every partition; what has been written already goes no further.
    fn ends(&self, log: &[Watermarks]) -> Vec<i64> {
        let reached = self.checkpoint();
        let goal = self.options.goal.as_deref();
        let goal = if self.is_read() { Some(&reached) } else { goal };
        match goal {
            Some(goal) => goal.sources().map(|(_, at)| at.next_offset).collect(),
            None => log.iter().map(|held| held.high).collect(),
        }
    }

    fn read(
        &mut self,
        kafka: &Kafka,
        ends: &[i64],
        on_progress: &mut impl FnMut(ReplayProgress),
    ) -> Result<(), ReplayError> {
        let threads = self.options.threads.max(1);
        let shares = self.shares(ends, threads);
        let run_bytes = (self.options.memory_bytes_max / 2 / threads).min(RUN_BYTES_MAX);
        let views = self.projection.views;
        let packs = || views.iter().map(|view| view.pack).collect::<Vec<_>>();
        let waiting = parked::read(&self.generation.build_path(), &self.journal.read())?;
        let totals = Arc::default();
        let (work, pace) = (&self.work, &self.pace);
        let (sender, receiver) = sync_channel(RUNS_WAITING_MAX);
        let failure = work.failure();
        let syncing = thread::spawn({
            let journal = self.journal.clone();
            move || sync_runs(&journal, &receiver).inspect_err(|_| failure.store(true, Ordering::Relaxed))
        });
        let read = thread::scope(|scope| {
            let readers: Vec<_> = shares
                .into_iter()
                .map(|share| {
                    let sorter = Sorter::new(views.len(), run_bytes);
                    let intake = self.intake(&share, &waiting, &totals);
                    let reading = Reading::new(work, packs(), share, sorter, intake, sender.clone());
                    scope.spawn(move || {
                        lower_priority();
                        work.noting_failure(reading.run(kafka))
                    })
                })
                .collect();
            drop(sender);
            self.tell_until(|| readers.iter().all(thread::ScopedJoinHandle::is_finished), pace, on_progress);
            readers.into_iter().map(join).fold(Ok(()), Result::and)
        });
        if read.is_err() || self.work.is_stopping() {
            wait(Some(syncing))?;
            return read.and_then(|()| self.check_cancelled());
        }
        self.syncing = Some(syncing);
        Ok(())
    }

    /// What becomes of a thread's records that cannot be projected.
    fn intake(&self, share: &[Share], waiting: &[ParkedRecord], totals: &Arc<Totals>) -> Intake {
        let journal = self.journal.read();
        let mut intake = Intake::counting(totals, self.options.stop_at_quarantine);
        for (number, source, _) in share {
            let index = *number as usize;
            let of_source = waiting.iter().filter(|record| record.source == source.id);
            of_source.for_each(|record| intake.resume_record(index, record));
            intake.leave_out(&journal.skipped, index, source);
            journal.unfoldable.iter().for_each(|event| event.expect(&mut intake, index, source));
        }
        intake
    }

    /// The partitions of each thread: all topics' partitions of one number go together.
    fn shares(&self, ends: &[i64], threads: usize) -> Vec<Vec<Share>> {
        let mut shares = vec![Vec::new(); threads];
        let sources = source::sources(&self.projection, &self.checkpoint());
        for ((number, source), end) in (0..).zip(sources).zip(ends) {
            if source.next_offset < *end {
                shares[source.id.partition.unsigned_abs() as usize % threads].push((number, source, *end));
            }
        }
        shares.retain(|share| !share.is_empty());
        shares
    }

    /// Tells progress a few times a second, and passes on what is asked of the build meanwhile.
    pub(super) fn tell_until(
        &self,
        done: impl Fn() -> bool,
        pace: &Pace,
        on_progress: &mut impl FnMut(ReplayProgress),
    ) {
        let mut told = Instant::now();
        while !done() {
            thread::park_timeout(TELL_EVERY / 10);
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                let progress = pace.progress(&self.work.meter);
                if let Some(read_model) = self.control {
                    read_model.show_progress(&progress);
                    read_model.rate().into_iter().for_each(|rate| self.work.throttle.set(rate));
                }
                on_progress(progress);
            }
        }
    }

    pub(super) fn check_cancelled(&self) -> Result<(), ReplayError> {
        if !self.work.is_cancelled() {
            return Ok(());
        }
        Err(ReplayError::Cancelled { done: self.checkpoint().records(), total: self.pace.total })
    }
}

/// Waits until all runs are durable.
pub(super) fn wait(syncing: Option<Syncing>) -> Result<(), ReplayError> {
    let Some(syncing) = syncing else { return Ok(()) };
    Ok(syncing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?)
}

/// The thread's result; its panic is ours.
pub(super) fn join<T>(
    thread: thread::ScopedJoinHandle<'_, Result<T, ReplayError>>,
) -> Result<T, ReplayError> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
