//! The reading half of a build: each thread reads some of the partitions from where the journal says, up to the goal, and leaves runs
//! of sorted changes.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use daybook_event::event_data::{EventData, Opened};
use daybook_kafka::{BatchItem, BatchRecord, FetchAhead, Kafka, Reader, Start};

use crate::change::ChangeAt;
use crate::checkpoint::{SourceCheckpoint, SourceId};
use crate::engine::Incoming;
use crate::external_sort::{CollectChange, JournalFile, Run, Sorter};
use crate::quarantine::{Admission, ParkedRecord, Parking, UNCOMMITTED_BYTES_MAX};
use crate::replay::build::{Build, Syncing, join, wait};
use crate::replay::options::ReplayError;
use crate::replay::parked::ParkedFile;
use crate::replay::progress::ReplayProgress;
use crate::replay::work::{Work, lower_priority, run_name};
use crate::sources;
use crate::sources::{Counts, Source};
use crate::stop::StopReason;
use crate::store::StoreError;

/// How long to wait for a record before the request to stop is checked.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// A run is written at least so often, however slowly records come: what a killed replay has to read again.
const RUN_EVERY: Duration = Duration::from_secs(20);

/// A run that is written but not yet durable, and what the journal notes once it is.
pub(super) struct Written {
    file: File,
    path: PathBuf,
    sources: Vec<(SourceId, SourceCheckpoint)>,
    skipped: Counts,
    parked: Option<ParkedFile>,
}

pub(super) struct Reading<'w, E: 'static> {
    work: &'w Work<'w>,
    collectors: Vec<(u8, CollectChange<E>)>,
    sorter: Sorter,
    sources: Vec<Share>,
    admission: Admission,
    /// Which of them have been read to the end, and how many have not.
    read: Vec<bool>,
    unread: usize,
    written: SyncSender<Written>,
    run_began: Instant,
    /// Records read and not yet reported.
    unreported: u64,
}

impl<'w, E: EventData> Reading<'w, E> {
    pub(super) fn new(
        work: &'w Work<'w>,
        collectors: Vec<(u8, CollectChange<E>)>,
        sources: Vec<Share>,
        sorter: Sorter,
        admission: Admission,
        written: SyncSender<Written>,
    ) -> Self {
        let (unread, read) = (sources.len(), vec![false; sources.len()]);
        let run_began = Instant::now();
        Self { work, collectors, sorter, sources, admission, read, unread, written, run_began, unreported: 0 }
    }

    /// Reads to the end, or until asked to stop. What has been read is in runs when it returns, whyever that is.
    pub(super) fn run(mut self, kafka: &Kafka) -> Result<(), ReplayError> {
        let read = self.read(kafka);
        self.report();
        match read {
            Ok(()) => self.spill(),
            // A disk that is full would only fill up again.
            Err(ReplayError::Store(error)) => Err(error.into()),
            Err(error) => self.spill().and(Err(error)),
        }
    }

    fn read(&mut self, kafka: &Kafka) -> Result<(), ReplayError> {
        let start = |(_, source, _): &Share| Start {
            topic: source.id.topic.to_string(),
            partition: source.id.partition,
            offset: source.state.resume_offset(),
        };
        let starts: Vec<Start> = self.sources.iter().map(start).collect();
        let ahead = FetchAhead { bytes_max: self.work.fetch_bytes_max };
        let reader = Reader::open_with(kafka, &starts, ahead).map_err(StopReason::from)?;
        while self.unread > 0 {
            reader.poll_batch(POLL_TIMEOUT, |item| self.visit(&item))?;
            if self.tick()? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn visit(&mut self, item: &BatchItem<'_>) -> Result<(), ReplayError> {
        let (index, ended) = match item {
            BatchItem::Record(record) => {
                let index = record.source();
                (index, self.take(index, *record)?)
            }
            BatchItem::End { source } => (*source, true),
        };
        if ended && !std::mem::replace(&mut self.read[index], true) {
            self.unread -= 1;
        }
        Ok(())
    }

    /// Takes one record; returns whether the partition's goal is reached with it.
    fn take(&mut self, index: usize, read: BatchRecord<'_>) -> Result<bool, ReplayError> {
        let (number, source, end) = &mut self.sources[index];
        let offset = read.offset();
        // What came after the start belongs to the follower that starts here.
        if offset < *end {
            self.unreported += 1;
            let (number, collectors, sorter, work) =
                (*number, &self.collectors, &mut self.sorter, &self.work);
            let record = Incoming { source: number as usize, offset, key: read.key(), value: read.value() };
            let collect = |_: &Source, opened: &Opened<'_, E>, left_out: &[u8], _: &mut Parking| {
                let (position, time_us) = (opened.position, opened.time.as_microsecond());
                let at = ChangeAt { source: number, offset, position, time_us };
                let collected = sorter.collect(collectors, &opened.event, &at, left_out);
                collected.map_err(|error| work.unwritable(&error).into())
            };
            self.admission.admit(source, record, || read.headers(), collect)?;
        }
        Ok(offset + 1 >= *end)
    }

    /// Tells how far it is, waits if it is too fast, and writes a run when it is time. Returns whether to stop.
    fn tick(&mut self) -> Result<bool, ReplayError> {
        let records = self.report();
        self.work.throttle.pace(records, || self.work.is_stopping());
        let (_, parked_bytes) = self.admission.parking.uncommitted();
        let full = self.sorter.is_full() || parked_bytes >= UNCOMMITTED_BYTES_MAX;
        if full || self.run_began.elapsed() >= RUN_EVERY {
            self.spill()?;
        }
        Ok(self.work.is_stopping())
    }

    /// Tells what has been read since the last time; returns how much.
    fn report(&mut self) -> u64 {
        self.admission.report_set_aside();
        let records = std::mem::take(&mut self.unreported);
        self.work.meter.done.fetch_add(records, Ordering::Relaxed);
        records
    }

    /// Writes what has been collected as a run.
    fn spill(&mut self) -> Result<(), ReplayError> {
        self.run_began = Instant::now();
        let parked = self.admission.parking.take_uncommitted();
        if self.sorter.is_empty() && self.admission.counts == Counts::default() && parked.is_empty() {
            return Ok(());
        }
        let path = self.work.next_run();
        let file = Run::write(&path, &mut self.sorter)?;
        let parked = ParkedFile::write(&path, &parked)?;
        self.work.add_run(&path);
        let sources = self.sources.iter().map(|(_, source, _)| (source.id.clone(), source.checkpoint()));
        let skipped = std::mem::take(&mut self.admission.counts);
        let written = Written { file, path, sources: sources.collect(), skipped, parked };
        // The other side ends early only after an error of its own, which is reported.
        let _gone = self.written.send(written);
        Ok(())
    }
}

/// Makes runs durable, one after the other, and notes them in the journal, while the next ones are being collected.
pub(super) fn sync_runs(journal: &JournalFile, runs: &Receiver<Written>) -> Result<(), StoreError> {
    for run in runs {
        run.file.sync_all().map_err(|error| StoreError::new("sync", &run.path, error))?;
        let name = run_name(&run.path);
        let parked = run.parked.map(|parked| parked.sync()).transpose()?;
        journal.update(|journal| {
            journal.runs.push(name);
            journal.parked.extend(parked);
            journal.duplicates += run.skipped.duplicates;
            journal.fenced += run.skipped.fenced;
            run.sources.into_iter().for_each(|(id, at)| journal.checkpoint.set(id, at));
        })?;
    }
    Ok(())
}

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
        let shares = shares(sources::sources(&self.projection, &self.checkpoint()), ends, threads);
        let run_bytes = (self.options.memory_bytes_max / 2 / threads).min(RUN_BYTES_MAX);
        let views = self.projection.views;
        let collectors = || views.iter().map(|view| (view.id, view.collect_change)).collect::<Vec<_>>();
        let (sender, receiver) = sync_channel(RUNS_WAITING_MAX);
        let syncing = self.start_syncing(receiver);
        let work = &self.work;
        let read = thread::scope(|scope| {
            let start = |mut share: Vec<Share>| {
                let sorter = Sorter::new(views.len(), run_bytes);
                let admission = self.admission(&mut share, waiting);
                let reading = Reading::new(work, collectors(), share, sorter, admission, sender.clone());
                scope.spawn(move || {
                    lower_priority();
                    work.noting_failure(reading.run(kafka))
                })
            };
            let readers: Vec<_> = shares.into_iter().map(start).collect();
            drop(sender);
            let done = || readers.iter().all(thread::ScopedJoinHandle::is_finished);
            self.report_until(done, on_progress);
            readers.into_iter().map(join).fold(Ok(()), Result::and)
        });
        if read.is_err() || self.work.is_stopping() {
            wait(Some(syncing))?;
            return read.and_then(|()| self.check_cancelled());
        }
        self.syncing = Some(syncing);
        Ok(())
    }

    fn start_syncing(&self, written: Receiver<Written>) -> Syncing {
        let (journal, failure) = (self.journal.clone(), self.work.failure());
        Syncing::start(move || sync_runs(&journal, &written).inspect_err(|_| failure.request()))
    }

    fn admission(&self, share: &mut [Share], waiting: &[ParkedRecord]) -> Admission {
        let journal = self.journal.read();
        let mut admission = Admission::counting(&self.totals, self.options.stop_at_quarantine);
        for (number, source, _) in share {
            let index = *number as usize;
            for record in waiting {
                if record.source == source.id {
                    admission.resume_record(index, source, record);
                }
            }
            admission.leave_out(&journal.skipped, index, source);
        }
        admission
    }
}

/// A partition that one thread reads: its index in the checkpoint, its place, and its end offset.
pub(super) type Share = (u32, Source, i64);

/// The partitions of each thread that are not read yet: all topics' partitions of one number go together.
pub(super) fn shares(sources: Vec<Source>, ends: &[i64], threads: usize) -> Vec<Vec<Share>> {
    let mut shares = vec![Vec::new(); threads];
    for ((number, source), end) in (0..).zip(sources).zip(ends) {
        if source.state.next_offset() < *end {
            shares[source.id.partition.unsigned_abs() as usize % threads].push((number, source, *end));
        }
    }
    shares.retain(|share| !share.is_empty());
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Checkpoint, SourceCheckpoint, SourceId};
    use crate::projection::Projection;
    use crate::sources;

    const NOTHING: Projection<()> = Projection { layout_version: 1, topics: &[], views: &[] };

    fn checkpoint(next_offsets: &[(&str, i32, i64)]) -> Checkpoint {
        Checkpoint::from_sources(next_offsets.iter().map(|(topic, partition, next_offset)| {
            let at = SourceCheckpoint { next_offset: *next_offset, ..SourceCheckpoint::default() };
            (SourceId { topic: (*topic).into(), partition: *partition }, at)
        }))
    }

    #[test]
    fn partitions_of_one_number_go_together_and_what_is_read_goes_to_nobody() {
        let read = checkpoint(&[("a", 0, 0), ("a", 1, 5), ("a", 2, 6), ("b", 0, 2), ("b", 1, 3)]);
        let names = |threads: usize, ends: &[i64]| -> Vec<Vec<String>> {
            let shares = shares(sources::sources(&NOTHING, &read), ends, threads);
            let name = |(number, source, end): &Share| format!("{number}: {} to {end}", source.id);
            shares.iter().map(|share| share.iter().map(name).collect()).collect()
        };
        let two = [vec!["0: a/0 to 6", "3: b/0 to 6"], vec!["1: a/1 to 6", "4: b/1 to 6"]];
        assert_eq!(names(2, &[6; 5]), two);
        assert_eq!(names(1, &[6; 5]).len(), 1);
        assert_eq!(names(2, &[6, 5, 6, 6, 3]), two[..1], "partitions 1 are read");
        assert_eq!(names(9, &[0, 5, 6, 2, 3]), Vec::<Vec<String>>::new());
    }
}
