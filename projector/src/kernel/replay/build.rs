//! Builds a generation: begins or resumes it, reads, writes, finishes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use event_log::Kafka;
use event_log::topics::Watermarks;
use schemas::event_data::EventData;

use super::options::{ReplayError, ReplayOptions};
use super::progress::{Meter, Pace, ReplayProgress};
use super::read::{Reading, sync_runs};
use super::throttle::Throttle;
use super::write::Writing;
use crate::kernel::bulk::{JournalError, JournalFile, Run, Sorter, UnitEntry, plan};
use crate::kernel::checkpoint::{Checkpoint, SourceId};
use crate::kernel::digest::Digest;
use crate::kernel::generation::{self, Generation};
use crate::kernel::projection::Projection;
use crate::kernel::read_model::ReadModel;
use crate::kernel::source::{self, Source};
use crate::kernel::sources;
use crate::kernel::store::{GenerationError, StoreError};

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// Largest run: past it sorting leaves the processor's caches for little gain.
const RUN_BYTES_MAX: usize = 64 << 20;
/// Runs that wait to be synced; past it their readers wait.
const RUNS_WAITING_MAX: usize = 2;
/// Priority of a replay's threads, as of `nice`: about a tenth of the processor beside a thread of the default priority.
const NICE: i32 = 10;
const RUN_SUFFIX: &str = ".run";

/// What all threads of a build share.
pub(super) struct Work<'w> {
    pub(super) meter: Meter,
    pub(super) throttle: Throttle,
    cancelled: &'w AtomicBool,
    /// One of the threads has failed.
    failed: AtomicBool,
    build: PathBuf,
    runs: AtomicU64,
}

impl Work<'_> {
    pub(super) fn is_stopping(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) || self.failed.load(Ordering::Relaxed)
    }

    /// Name of the next run.
    pub(super) fn next_run(&self) -> PathBuf {
        self.build.join(format!("{:06}{RUN_SUFFIX}", self.runs.fetch_add(1, Ordering::Relaxed)))
    }

    fn noting_failure<T>(&self, result: Result<T, ReplayError>) -> Result<T, ReplayError> {
        result.inspect_err(|_| self.failed.store(true, Ordering::Relaxed))
    }
}

/// A build that was begun or resumed.
pub(super) struct Build<'b, E: 'static> {
    options: &'b ReplayOptions,
    projection: Projection<E>,
    generation: Generation,
    journal: JournalFile,
    work: Work<'b>,
    /// Where other processes see and speak to this replay.
    control: Option<&'b ReadModel>,
    pace: Pace,
    pub(super) resumed: bool,
}

impl<'b, E: EventData> Build<'b, E> {
    /// Begins a build in `path`, or goes on with the one that is there.
    pub(super) fn open(
        name: &str,
        path: &Path,
        projection: Projection<E>,
        start: &Checkpoint,
        options: &'b ReplayOptions,
        cancelled: &'b AtomicBool,
    ) -> Result<Self, ReplayError> {
        let left = if generation::is_unfinished(path) {
            resume(name, path, &projection, start, options)?
        } else {
            None
        };
        let resumed = left.is_some();
        let (generation, journal) = match left {
            Some(left) => left,
            None => begin(path, &projection, start, options)?,
        };
        let done_before = journal.read().checkpoint.records();
        let meter = Meter::default();
        meter.done.store(done_before, Ordering::Relaxed);
        let work = Work {
            meter,
            throttle: Throttle::new(options.rate_max),
            cancelled,
            failed: AtomicBool::new(false),
            runs: AtomicU64::new(next_run(&generation.build_path(), &journal.read().runs)?),
            build: generation.build_path(),
        };
        let pace = Pace {
            generation: name.to_owned(),
            total: 0,
            done_before,
            began: Instant::now(),
            reading_took: None,
        };
        Ok(Self { options, projection, generation, journal, work, control: None, pace, resumed })
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

    /// Everything, up to a finished generation. `log` is what every partition holds.
    pub(super) fn run(
        mut self,
        kafka: &Kafka,
        log: &[Watermarks],
        mut on_progress: impl FnMut(ReplayProgress),
    ) -> Result<(Generation, u64), ReplayError> {
        let ends = self.ends(log);
        self.pace.total = ends.iter().map(|end| end.unsigned_abs()).sum();
        on_progress(self.pace.progress(&self.work.meter));
        if !self.is_read() {
            self.read(kafka, &ends, &mut on_progress)?;
        }
        self.pace.reading_took = Some(self.pace.began.elapsed());
        if !self.journal.read().settled {
            let digest = self.write(&mut on_progress)?;
            self.generation.settle(self.checkpoint(), digest)?;
            self.journal.update(|journal| journal.settled = true)?;
        }
        on_progress(self.pace.progress(&self.work.meter));
        let duplicates = self.journal.read().duplicates;
        Ok((self.generation, duplicates))
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
        let (work, journal, pace) = (&self.work, &self.journal, &self.pace);
        let (sender, receiver) = sync_channel(RUNS_WAITING_MAX);
        thread::scope(|scope| {
            let syncing =
                scope.spawn(move || work.noting_failure(sync_runs(journal, &receiver).map_err(Into::into)));
            let readers: Vec<_> = shares
                .into_iter()
                .map(|share| {
                    let sorter = Sorter::new(views.len(), run_bytes);
                    let reading = Reading::new(work, packs(), share, sorter, sender.clone());
                    scope.spawn(move || {
                        lower_priority();
                        work.noting_failure(reading.run(kafka))
                    })
                })
                .collect();
            drop(sender);
            self.tell_until(|| readers.iter().all(thread::ScopedJoinHandle::is_finished), pace, on_progress);
            let read = readers.into_iter().map(join).fold(Ok(()), Result::and);
            join(syncing).and(read)
        })?;
        self.check_cancelled()
    }

    /// The partitions of each thread: all topics' partitions of one number go together.
    fn shares(&self, ends: &[i64], threads: usize) -> Vec<Vec<(u32, Source, i64)>> {
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

    fn write(&mut self, on_progress: &mut impl FnMut(ReplayProgress)) -> Result<Digest, ReplayError> {
        let runs = self.open_runs()?;
        let changes: u64 = runs.iter().map(|run| run.changes()).sum();
        self.plan(&runs)?;
        let units = self.journal.read().units.clone();
        self.work.meter.to_fold.store(changes, Ordering::Relaxed);
        self.work.meter.folded.store(units.iter().map(|unit| unit.changes).sum(), Ordering::Relaxed);
        let sources: Vec<SourceId> = self.checkpoint().sources().map(|(id, _)| id.clone()).collect();
        let views: Vec<_> = self.projection.views.iter().map(|view| (view.id, view.fold)).collect();
        let threads = self.options.threads.clamp(1, units.len().max(1));
        let writing = Writing {
            work: &self.work,
            generation: &self.generation,
            journal: &self.journal,
            runs: &runs,
            sources: &sources,
            views: &views,
            memory_bytes_max: self.options.memory_bytes_max / 2 / threads,
        };
        let next = AtomicUsize::new(0);
        let write_units = || {
            lower_priority();
            while !self.work.is_stopping() {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= units.len() {
                    break;
                }
                writing.unit(index)?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let writers: Vec<_> =
                (0..threads).map(|_| scope.spawn(|| self.work.noting_failure(write_units()))).collect();
            self.tell_until(
                || writers.iter().all(thread::ScopedJoinHandle::is_finished),
                &self.pace,
                on_progress,
            );
            writers.into_iter().map(join).fold(Ok(()), Result::and)
        })?;
        self.check_cancelled()?;
        Ok(self.total(changes)?)
    }

    /// All runs that the journal names.
    fn open_runs(&self) -> Result<Vec<Arc<Run>>, StoreError> {
        let names = self.journal.read().runs.clone();
        let build = self.generation.build_path();
        names.iter().map(|name| Run::open(&build.join(name)).map(Arc::new)).collect()
    }

    fn plan(&self, runs: &[Arc<Run>]) -> Result<(), StoreError> {
        if self.journal.read().units.is_empty() {
            let units = plan(runs, self.projection.views.len());
            self.journal.update(|journal| journal.units = units.iter().map(UnitEntry::new).collect())?;
        }
        Ok(())
    }

    /// The digest of all units' rows, once it is certain that nothing was left out.
    fn total(&self, changes: u64) -> Result<Digest, StoreError> {
        let damaged = |what: String| StoreError::new("read", &self.generation.build_path(), what);
        let mut digest = Digest::default();
        let mut folded = 0;
        for unit in &self.journal.read().units {
            let rows = unit.digest().and_then(Result::ok);
            digest.merge(rows.ok_or_else(|| damaged("the journal has no digest of a unit".to_owned()))?);
            folded += unit.changes;
        }
        if folded != changes {
            return Err(damaged(format!(
                "{changes} changes were sorted, {folded} were folded: a run is damaged"
            )));
        }
        Ok(digest)
    }

    /// Tells progress a few times a second, and passes on what is asked of the build meanwhile.
    fn tell_until(&self, done: impl Fn() -> bool, pace: &Pace, on_progress: &mut impl FnMut(ReplayProgress)) {
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

    fn check_cancelled(&self) -> Result<(), ReplayError> {
        if !self.work.cancelled.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(ReplayError::Cancelled { done: self.checkpoint().records(), total: self.pace.total })
    }
}

fn begin<E>(
    path: &Path,
    projection: &Projection<E>,
    start: &Checkpoint,
    options: &ReplayOptions,
) -> Result<(Generation, JournalFile), ReplayError> {
    let layout = projection.layout();
    let generation = Generation::create(path, &layout, start, &options.holder)?;
    let journal = JournalFile::create(&generation.build_path(), &layout, start)?;
    Ok((generation, journal))
}

/// Goes on with what is durable of a build; `None` if nothing is.
fn resume<E>(
    name: &str,
    path: &Path,
    projection: &Projection<E>,
    start: &Checkpoint,
    options: &ReplayOptions,
) -> Result<Option<(Generation, JournalFile)>, ReplayError> {
    let abandoned = |reason: String| ReplayError::Abandoned { name: name.to_owned(), reason };
    let layout = projection.layout();
    let journal = match JournalFile::open(&generation::build_path(path), &layout) {
        Ok(Some(journal)) => journal,
        Ok(None) => return Ok(None),
        Err(JournalError::Store(error)) => return Err(error.into()),
        Err(JournalError::Foreign { reason }) => return Err(abandoned(reason)),
    };
    if sources::partitions(&journal.read().checkpoint) != sources::partitions(start) {
        return Err(abandoned("it was begun with other topics or partitions".to_owned()));
    }
    // Rows count from the first unit that is done; what was written before that is written again.
    let has_rows = journal.read().settled || journal.read().units.iter().any(UnitEntry::is_done);
    let opened = match has_rows {
        true => Generation::resume(path, &layout, &options.holder),
        false => Generation::create(path, &layout, start, &options.holder),
    };
    match opened {
        Ok(generation) => Ok(Some((generation, journal))),
        Err(error @ (GenerationError::InUse { .. } | GenerationError::Store(_))) => Err(error.into()),
        Err(error) => Err(abandoned(error.to_string())),
    }
}

/// Number of the next run. Removes runs that the journal does not name: they were not durable when the build stopped.
fn next_run(build: &Path, named: &[String]) -> Result<u64, StoreError> {
    let io_error = |error| StoreError::new("tidy", build, error);
    for entry in fs::read_dir(build).map_err(io_error)? {
        let entry = entry.map_err(io_error)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(RUN_SUFFIX) && !named.contains(&name) {
            fs::remove_file(entry.path()).map_err(io_error)?;
        }
    }
    let number = |name: &String| name.strip_suffix(RUN_SUFFIX)?.parse::<u64>().ok();
    Ok(named.iter().filter_map(number).max().map_or(0, |last| last + 1))
}

/// A rebuild is background work: where the processor is short, those who answer requests come first. Threads started by
/// this one, as librdkafka's are, inherit it.
fn lower_priority() {
    // On Linux, no process id stands for the calling thread.
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!("a replay's thread keeps its priority: {error}");
    }
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T, ReplayError>>) -> Result<T, ReplayError> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
