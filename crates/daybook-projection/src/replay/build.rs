//! The course of a build: begin or resume it, read, write, settle; and the threads that it waits for.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use daybook_event::event_data::EventData;
use daybook_kafka::Kafka;
use daybook_service::Stop;

use crate::checkpoint::Checkpoint;
use crate::external_sort::JournalFile;
use crate::generation::{self, Generation};
use crate::projection::Projection;
use crate::quarantine::Totals;
use crate::read_model::ReadModel;
use crate::replay::begin::{begin, resume};
use crate::replay::options::{ReplayError, ReplayOptions};
use crate::replay::parked;
use crate::replay::progress::{Pace, ReplayProgress};
use crate::replay::work::Work;
use crate::sources;
use crate::store::StoreError;

pub(super) struct Build<'b, E: 'static> {
    pub(super) options: &'b ReplayOptions,
    pub(super) projection: Projection<E>,
    pub(super) generation: Generation,
    pub(super) journal: Arc<JournalFile>,
    /// What waits in all of it.
    pub(super) totals: Arc<Totals>,
    /// Makes the last runs durable, while rows are already being made from them.
    pub(super) syncing: Option<Syncing>,
    pub(super) work: Work<'b>,
    /// Where other processes see and speak to this replay.
    pub(super) control: Option<&'b ReadModel>,
    pub(super) pace: Pace,
    pub(super) resumed: bool,
}

impl<'b, E: EventData> Build<'b, E> {
    /// Begins a build in `path`, on `restart` or where there is none, or resumes the one that is there.
    pub(super) fn open(
        name: &str,
        path: &Path,
        projection: Projection<E>,
        start: &Checkpoint,
        options: &'b ReplayOptions,
        cancelled: &'b Stop,
        restart: bool,
    ) -> Result<Self, ReplayError> {
        let left = if !restart && generation::is_unfinished(path) {
            resume(name, path, &projection, start, options)?
        } else {
            None
        };
        let resumed = left.is_some();
        let (generation, journal) = match left {
            Some(left) => left,
            None => begin(path, &projection, start, options)?,
        };
        let work = Work::new(options, generation.build_path(), &journal.read(), cancelled)?;
        let done_before = journal.read().checkpoint.records();
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
            totals: Arc::default(),
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

    /// Everything, up to a finished generation, and how many records were repeated. `ends` are the end offsets of all partitions.
    pub(super) fn run(
        mut self,
        kafka: &Kafka,
        ends: &[i64],
        mut on_progress: impl FnMut(ReplayProgress),
    ) -> Result<(Generation, u64), ReplayError> {
        let ends = self.ends(ends);
        let waiting = parked::read(&self.generation.build_path(), &self.journal.read())?;
        self.totals = Totals::of(&waiting).into();
        self.pace.total = ends.iter().map(|end| end.unsigned_abs()).sum();
        on_progress(self.pace.progress(&self.work.meter));
        if !self.is_read() {
            self.read(kafka, &ends, &waiting, &mut on_progress)?;
        }
        self.pace.reading_took = Some(self.pace.began.elapsed());
        if !self.journal.read().settled {
            self.settle(&mut on_progress)?;
        }
        self.generation.set_skipped(self.journal.read().skipped.clone())?;
        on_progress(self.pace.progress(&self.work.meter));
        let (fenced, duplicates) = {
            let journal = self.journal.read();
            (journal.fenced, journal.duplicates)
        };
        if fenced > 0 {
            tracing::info!(fenced, "records of fenced writers were skipped");
        }
        Ok((self.generation, duplicates))
    }

    /// Writes all rows and what waits, and makes them durable.
    fn settle(&mut self, on_progress: &mut impl FnMut(ReplayProgress)) -> Result<(), ReplayError> {
        let digest = self.write(on_progress)?;
        // Only now: while rows were written, the last runs may still have been on their way into the journal.
        sources::check_log_ids(&self.checkpoint())?;
        let parked = parked::read(&self.generation.build_path(), &self.journal.read())?;
        self.generation.put_parked(&parked)?;
        self.generation.settle(self.checkpoint(), digest)?;
        Ok(self.journal.update(|journal| journal.settled = true)?)
    }

    /// End offset of every partition; what has been written already goes no further.
    fn ends(&self, ends: &[i64]) -> Vec<i64> {
        if !self.is_read() {
            return ends.to_vec();
        }
        self.checkpoint().sources().map(|(_, at)| at.next_offset).collect()
    }

    /// Whether the log has been read to the goal.
    pub(super) fn is_read(&self) -> bool {
        let journal = self.journal.read();
        journal.settled || !journal.units.is_empty()
    }
}

/// How often progress is reported.
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// Makes runs durable, in a thread that ends before this does: a build that is given up and begun again in the same directory must
/// have nobody who still writes the journal of the one before.
pub(super) struct Syncing(Option<thread::JoinHandle<Result<(), StoreError>>>);

impl Syncing {
    pub(super) fn start(sync: impl FnOnce() -> Result<(), StoreError> + Send + 'static) -> Self {
        Self(Some(thread::spawn(sync)))
    }
}

impl Drop for Syncing {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // A build is given up for another reason.
            let _ = thread.join();
        }
    }
}

impl<E: EventData> Build<'_, E> {
    /// Tells progress a few times a second, and passes on what is asked of the build meanwhile.
    pub(super) fn report_until(&self, done: impl Fn() -> bool, on_progress: &mut impl FnMut(ReplayProgress)) {
        let mut reported = Instant::now();
        while !done() {
            thread::park_timeout(REPORT_EVERY / 10);
            if reported.elapsed() >= REPORT_EVERY {
                reported = Instant::now();
                let progress = self.pace.progress(&self.work.meter);
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
    let Some(thread) = syncing.and_then(|mut syncing| syncing.0.take()) else { return Ok(()) };
    Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?)
}

/// The thread's result; its panic is ours.
pub(super) fn join<T>(
    thread: thread::ScopedJoinHandle<'_, Result<T, ReplayError>>,
) -> Result<T, ReplayError> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
