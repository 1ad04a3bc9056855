//! The reading half of a replay: every partition from offset zero up to the end seen at the start.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use event_log::topics::Watermarks;
use event_log::{Kafka, Polled, Reader, Start};
use schemas::event_data::EventData;

use super::{ReplayError, ReplayProgress};
use crate::kernel::engine::{Counts, Engine, Incoming, Limits};
use crate::kernel::generation::Generation;
use crate::kernel::projection::Projection;
use crate::kernel::sources;
use crate::kernel::stop::StopReason;

/// How long to wait for a record before looking whether the replay was cancelled.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// Records between two looks at the clock.
const RECORDS_PER_LOOK: u64 = 1_024;

pub(super) struct Build<'g, E: 'static> {
    name: String,
    generation: &'g Generation,
    engine: Engine<E>,
    /// End offset of every partition.
    ends: Vec<i64>,
    /// Partitions still to be read, by index.
    unread: Vec<bool>,
    done: u64,
    total: u64,
    began: Instant,
    told: Instant,
}

impl<'g, E: EventData> Build<'g, E> {
    pub(super) fn new(
        name: String,
        projection: Projection<E>,
        generation: &'g Generation,
        log: &[Watermarks],
        cache_bytes_max: usize,
    ) -> Self {
        let ends: Vec<i64> = log.iter().map(|held| held.high).collect();
        let now = Instant::now();
        Self {
            name,
            generation,
            engine: Engine::new(projection, &generation.checkpoint(), Limits::building(cache_bytes_max)),
            unread: ends.iter().map(|end| *end > 0).collect(),
            total: ends.iter().map(|end| end.unsigned_abs()).sum(),
            ends,
            done: 0,
            began: now,
            told: now,
        }
    }

    pub(super) fn run(
        mut self,
        kafka: &Kafka,
        mut on_progress: impl FnMut(ReplayProgress),
        cancelled: &AtomicBool,
    ) -> Result<Counts, ReplayError> {
        on_progress(self.progress());
        if self.unread.contains(&true) {
            self.read(kafka, &mut on_progress, cancelled)?;
        }
        // Told before, because writing the last rows may take some seconds.
        on_progress(self.progress());
        self.engine.commit(self.generation)?;
        Ok(self.engine.counts())
    }

    fn read(
        &mut self,
        kafka: &Kafka,
        on_progress: &mut impl FnMut(ReplayProgress),
        cancelled: &AtomicBool,
    ) -> Result<(), ReplayError> {
        // Only partitions that hold something: a missing topic has nothing to be read.
        let sources: Vec<usize> = (0..self.unread.len()).filter(|source| self.unread[*source]).collect();
        let all = sources::starts(&self.generation.checkpoint());
        let starts: Vec<Start> = sources.iter().map(|source| all[*source].clone()).collect();
        let reader = Reader::open(kafka, &starts).map_err(StopReason::from)?;
        while self.unread.contains(&true) {
            if cancelled.load(Ordering::Relaxed) {
                return Err(ReplayError::Cancelled { done: self.done, total: self.total });
            }
            match reader.poll(POLL_TIMEOUT).map_err(StopReason::from)? {
                Polled::Record(record) => {
                    let (source, offset) = (sources[record.source()], record.offset());
                    self.take(Incoming { source, offset, value: record.value() }, || record.headers())?;
                    if !self.done.is_multiple_of(RECORDS_PER_LOOK) {
                        continue;
                    }
                }
                Polled::End { source } => self.unread[sources[source]] = false,
                Polled::Nothing => {}
            }
            self.tell(on_progress);
        }
        Ok(())
    }

    fn take(
        &mut self,
        record: Incoming<'_>,
        headers: impl FnOnce() -> Vec<(String, Vec<u8>)>,
    ) -> Result<(), ReplayError> {
        let end = self.ends[record.source];
        // What came after the start belongs to whoever follows from here.
        if record.offset < end {
            self.engine.apply(self.generation, record, headers)?;
            self.done += 1;
            if self.engine.full() {
                self.engine.commit(self.generation)?;
            }
        }
        if record.offset + 1 >= end {
            self.unread[record.source] = false;
        }
        Ok(())
    }

    fn tell(&mut self, on_progress: &mut impl FnMut(ReplayProgress)) {
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            on_progress(self.progress());
        }
    }

    fn progress(&self) -> ReplayProgress {
        let seconds = self.began.elapsed().as_secs_f64();
        let events_per_s = if seconds > 0.0 { self.done as f64 / seconds } else { 0.0 };
        let left = self.total.saturating_sub(self.done) as f64;
        let eta =
            (events_per_s > 0.0).then(|| Duration::try_from_secs_f64(left / events_per_s).ok()).flatten();
        ReplayProgress {
            generation: self.name.clone(),
            done: self.done,
            total: self.total,
            events_per_s,
            eta,
            cache_bytes: self.engine.cache_bytes(),
        }
    }
}
