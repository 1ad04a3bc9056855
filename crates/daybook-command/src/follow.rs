//! Follows other services' topics into this service's own tables: read, check, hand over to the committer.
//!
//! Rows are written before the checkpoint that counts them, and writing them twice is writing them once, so each event
//! takes effect exactly once. What cannot be taken stops the following with a sentence; commands go on being decided on what is known.

mod log;
mod partition;
pub(crate) mod positions;
pub(crate) mod quarantine;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use daybook_event::doubt::Readings;
use daybook_kafka::topics::TopicError;
use daybook_kafka::{Kafka, LogError, Polled, Reader, Record, Start};
use daybook_service::{Pause, Slot, Stop};
use daybook_store::{Store, StoreError, Writes, check_sizes};
use daybook_stream::share_log_ids;
use tokio::sync::oneshot;

use crate::aggregate::Aggregate;
use crate::commit::Work;
use crate::follow::positions::FollowedPositions;
use crate::incoming::{self, IncomingError};
use crate::metrics::Metrics;
use crate::store::rows::RowError;
pub(crate) use partition::FollowReporter;
use partition::{Batch, FollowedPartition};
use quarantine::Quarantine;

/// Records handed over together.
const BATCH_RECORDS_MAX: usize = 500;
/// Bytes of rows handed over together, but for those of the last record: most of what is read is a few bytes, but events
/// that wait are large, and one batch must stay small beside what may lie unsynced (see `store`).
const BATCH_BYTES_MAX: usize = 64 * 1024;
/// How long one poll waits; a stop is noticed in between.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// Pause before Kafka, or a topic that does not exist yet, is asked again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// After an error of the log or the store the pause is doubled each time, up to this.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);
/// A follower that has worked for so long begins with the shortest pause again.
const GOES_WELL_AFTER: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub(crate) enum FollowError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Incoming(#[from] IncomingError),
    #[error("{0}")]
    Store(#[from] RowError),
    #[error(
        "topic {topic} has {actual} partitions, but was followed with {known}: keys have moved; create a new topic with {known} \
         partitions and bring the events there"
    )]
    PartitionCount { topic: String, actual: i32, known: i32 },
    #[error(
        "topic {topic} does not exist any more, but was followed: restore it from a backup, or start the service that owns it, which \
         creates it again and sends again what it has kept"
    )]
    Gone { topic: String },
    #[error(
        "topic {topic} partition {partition} begins at offset {low}, the event at offset {offset} was not followed yet: the front \
         of the topic was deleted; restore it from a backup, and set its retention.ms and retention.bytes to -1"
    )]
    FrontDeleted { topic: String, partition: i32, offset: i64, low: i64 },
    #[error(
        "topic {topic} partition {partition} ends before position {next_position}, up to which it was followed (its end offset is {high}): the \
         topic has lost its end or was created again; start the service that writes it, which sends again what is missing, or \
         restore the topic from a backup"
    )]
    WentBack { topic: String, partition: i32, high: i64, next_position: u64 },
    #[error("a partition that was away is back")]
    Returned,
    #[error("the places in the logs are looked for again: {0}")]
    Doubted(String),
    #[error("a row of what was read cannot be written, and never will be: {0}")]
    Unwritable(StoreError),
    #[error("the store was opened afresh")]
    Reopened,
    #[error("the service stops")]
    Stopping,
}

impl FollowError {
    /// Whether it is tried again: a right that was taken away for a moment is no reason to stop for good, nor is anything else
    /// that may pass, or that the committer mends once it is told.
    fn is_tried_again(&self) -> bool {
        match self {
            Self::Log(error) => error.may_pass(),
            Self::Store(error) => error.is_damage() || matches!(error, RowError::Store(_)),
            _ => false,
        }
    }
}

pub(crate) struct Follower<A: Aggregate> {
    pub(crate) kafka: Kafka,
    pub(crate) store: Arc<Store>,
    pub(crate) committer: SyncSender<Work<A>>,
    pub(crate) positions: Arc<FollowedPositions>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stopping: Stop,
    /// Why the places are to be looked for again, from the watch.
    pub(crate) doubt: Slot<String>,
    /// For the watch: what the reader has read.
    pub(crate) readings: Readings,
    /// The opening of the store whose checkpoints it goes on from.
    pub(crate) opening: u64,
    pub(crate) reporter: FollowReporter,
}

impl<A: Aggregate> Follower<A> {
    /// Works until the service stops or something cannot be taken.
    pub(crate) fn run(mut self) {
        match self.follow_for_ever() {
            Ok(()) | Err(FollowError::Stopping) => {}
            Err(error) => {
                tracing::error!(error = %error, "following other services' topics has stopped");
                self.positions.stop(error.to_string());
            }
        }
    }

    /// Begins again at the checkpoints whenever the store was opened afresh, or cannot be read: it may have lost what was
    /// followed last.
    fn follow_for_ever(&mut self) -> Result<(), FollowError> {
        let mut pause = Pause::new(RETRY_PAUSE, RETRY_PAUSE_MAX);
        loop {
            let began = Instant::now();
            self.opening = self.positions.opening();
            match self.follow() {
                Err(FollowError::Reopened) => {
                    tracing::warn!(
                        "the store was opened afresh; following continues from the checkpoints in it"
                    );
                }
                Err(error) if error.is_tried_again() => {
                    if began.elapsed() > GOES_WELL_AFTER {
                        pause.reset();
                    }
                    let reason = error.to_string();
                    self.reporter.fails(&reason);
                    self.positions.stop(reason);
                    self.report_damage(error);
                    self.wait(pause.longer());
                }
                ended => return ended,
            }
            if self.stopping.requested() {
                return Err(FollowError::Stopping);
            }
        }
    }

    /// What is damaged stays so until the committer has given the index up; no command may ever read these rows. If many commands
    /// wait at present, it is told after the next attempt.
    fn report_damage(&self, error: FollowError) {
        if let FollowError::Store(error) = error
            && error.is_damage()
        {
            // Without a committer the service stops.
            let _ = self.committer.try_send(Work::Unreadable { opening: self.opening, error });
        }
    }

    fn wait(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while !self.stopping.requested() && self.check_opening().is_ok() && Instant::now() < until {
            std::thread::sleep(POLL_TIMEOUT.min(until.saturating_duration_since(Instant::now())));
        }
    }

    /// Reads for ever. A log that went back is looked at again: its events may have moved to other offsets.
    fn follow(&self) -> Result<(), FollowError> {
        self.begin_other_forms()?;
        let (mut quarantine, released) = Quarantine::try_again(&self.store, A::FOLLOWS)?;
        for writes in released {
            self.write(writes)?;
        }
        self.show(&mut quarantine);
        let mut sources = self.sources(&quarantine)?;
        let mut gap_before = None;
        loop {
            self.locate_all(&mut sources)?;
            self.write(sources.iter().map(FollowedPartition::checkpoint).collect())?;
            let Err(error) = self.read(&mut sources, &mut quarantine) else { return Ok(()) };
            if let FollowError::Returned = error {
                tracing::info!("{error}, and is followed again");
                self.wait(RETRY_PAUSE);
                continue;
            }
            if let FollowError::Doubted(_) = error {
                tracing::warn!("{error}");
                continue;
            }
            let Some(gap) = self.moved(&error, &sources) else { return Err(error) };
            tracing::warn!("the log may have gone back, the place is looked for again: {error}");
            std::thread::sleep(RETRY_PAUSE);
            // Met again behind such a look, with no event of the partition in between, it is one indeed. Before, what lay in between may
            // have been read of a log that is no longer there.
            let gap = gap.map(|source| (source, sources[source].state.reached()));
            if gap.is_some() && gap == gap_before {
                return Err(error);
            }
            gap_before = gap;
        }
    }

    fn read(
        &self,
        sources: &mut [FollowedPartition],
        quarantine: &mut Quarantine,
    ) -> Result<(), FollowError> {
        let start = |source: &FollowedPartition| Start {
            topic: A::FOLLOWS[source.table].topic.to_owned(),
            partition: source.state.partition(),
            offset: source.state.next_offset(),
        };
        let here: Vec<usize> = (0..sources.len()).filter(|source| sources[*source].away.is_none()).collect();
        let starts: Vec<_> = here.iter().map(|source| start(&sources[*source])).collect();
        let reader = Reader::open(&self.kafka, &starts)?;
        self.publish(sources);
        let mut batch = Batch::default();
        let mut unheard: BTreeSet<usize> = here.iter().copied().collect();
        // Of a look before these places were found.
        let _before = self.doubt.take();
        self.readings.begin(sources.iter().map(|source| source.state.counted()));
        while !self.stopping.requested() {
            let timeout = if batch.records == 0 { POLL_TIMEOUT } else { Duration::ZERO };
            let taken = reader.poll(timeout).map_err(FollowError::from).and_then(|polled| match polled {
                Polled::Record(record) => {
                    let source = here[record.source()];
                    self.heard(&mut unheard, |unheard| *unheard == source);
                    Ok(self.take(&record, source, sources, quarantine, &mut batch)?)
                }
                Polled::End { source } => {
                    self.readings.reach(here[source]);
                    self.heard(&mut unheard, |unheard| *unheard == here[source]);
                    Ok(())
                }
                Polled::Nothing => {
                    self.heard(&mut unheard, |unheard| self.positions.is_away(sources[*unheard].place()));
                    self.hand_over(sources, quarantine, &mut batch)
                }
            });
            if taken.is_err() || batch.records >= BATCH_RECORDS_MAX || batch.bytes >= BATCH_BYTES_MAX {
                self.hand_over(sources, quarantine, &mut batch)?;
            }
            taken?;
        }
        Ok(())
    }

    /// What had stopped the following is over once something is heard of every partition that is read and answered for.
    fn heard(&self, unheard: &mut BTreeSet<usize>, is_over: impl Fn(&usize) -> bool) {
        let waited = !unheard.is_empty();
        unheard.retain(|source| !is_over(source));
        if waited && unheard.is_empty() {
            self.positions.resume();
            self.reporter.recovered();
        }
    }

    fn take(
        &self,
        record: &Record<'_>,
        index: usize,
        sources: &mut [FollowedPartition],
        quarantine: &mut Quarantine,
        batch: &mut Batch,
    ) -> Result<(), IncomingError> {
        let source = &mut sources[index];
        let (table, log_id) = (source.table, source.state.sequence().log_id());
        source.apply(&A::FOLLOWS[source.table], record, quarantine, batch).map_err(|fault| {
            IncomingError { at: incoming::at(record, &self.kafka.topic_prefix), fault: Box::new(fault) }
        })?;
        if source.state.sequence().log_id() != log_id {
            share_log_ids(sources.iter_mut().map(|source| &mut source.state));
            batch.touched.extend((0..).zip(&*sources).filter(|(_, of)| of.table == table).map(|(at, _)| at));
        }
        batch.records += 1;
        if !batch.touched.contains(&index) {
            batch.touched.push(index);
        }
        Ok(())
    }

    fn hand_over(
        &self,
        sources: &[FollowedPartition],
        quarantine: &mut Quarantine,
        batch: &mut Batch,
    ) -> Result<(), FollowError> {
        self.check_opening()?;
        self.readings.read(sources.iter().map(|source| source.state.counted()));
        quarantine.set_aside.tick();
        if batch.records > 0 {
            self.write_batch(sources, quarantine, std::mem::take(batch))?;
        }
        // Here, whether there was something to write or not: others that always have something must not hide who is back.
        let is_back =
            |source: &FollowedPartition| source.away.is_some() && !self.positions.is_away(source.place());
        if sources.iter().any(is_back) {
            return Err(FollowError::Returned);
        }
        if let Some(reason) = self.doubt.take() {
            return Err(FollowError::Doubted(reason));
        }
        self.check_partitions()
    }

    fn write_batch(
        &self,
        sources: &[FollowedPartition],
        quarantine: &mut Quarantine,
        batch: Batch,
    ) -> Result<(), FollowError> {
        let Batch { mut writes, touched, followed, fenced, .. } = batch;
        writes.extend(touched.iter().map(|touched| sources[*touched].checkpoint()));
        self.write(writes)?;
        self.metrics.followed_events.inc_by(followed);
        self.metrics.fenced_records.inc_by(fenced);
        self.show(quarantine);
        self.publish(sources);
        Ok(())
    }

    fn check_opening(&self) -> Result<(), FollowError> {
        if self.positions.opening() == self.opening { Ok(()) } else { Err(FollowError::Reopened) }
    }

    /// Stops by name rather than miss the events of keys that have moved to partitions which are not read.
    fn check_partitions(&self) -> Result<(), FollowError> {
        match self.positions.topic_mismatch() {
            Some(TopicError::PartitionCount { topic, expected: known, actual }) => {
                Err(FollowError::PartitionCount { topic, actual, known })
            }
            _ => Ok(()),
        }
    }

    /// Hands rows to the committer until it has written them, or has opened the store afresh.
    fn write(&self, writes: Writes) -> Result<(), FollowError> {
        // The committer would take it for a failing disk, and try for ever.
        check_sizes(&writes).map_err(FollowError::Unwritable)?;
        while !self.stopping.requested() {
            self.check_opening()?;
            let (done, written) = oneshot::channel();
            let opening = self.opening;
            match self.committer.try_send(Work::Follow { opening, writes: writes.clone(), done }) {
                Ok(()) if written.blocking_recv().is_ok() => return Ok(()),
                // The store fails at present, or many commands wait.
                Ok(()) | Err(TrySendError::Full(_)) => std::thread::sleep(POLL_TIMEOUT),
                Err(TrySendError::Disconnected(_)) => return Err(FollowError::Stopping),
            }
        }
        Err(FollowError::Stopping)
    }

    fn show(&self, quarantine: &mut Quarantine) {
        if let Some(shown) = quarantine.show() {
            self.positions.set_quarantine(shown);
        }
    }

    fn publish(&self, sources: &[FollowedPartition]) {
        let at = |table| {
            let of_table = sources.iter().filter(move |source| source.table == table);
            of_table.map(FollowedPartition::at).collect()
        };
        self.positions.publish(self.opening, (0..A::FOLLOWS.len()).map(at).collect());
    }

    /// Whether an error may mean that the log is no longer what it was; if a record came too early, of which source.
    fn moved(&self, error: &FollowError, sources: &[FollowedPartition]) -> Option<Option<usize>> {
        match error {
            FollowError::Log(LogError::OffsetOutOfRange { .. } | LogError::NoSuchPartition { .. }) => {
                Some(None)
            }
            FollowError::Incoming(IncomingError { at, fault }) if fault.is_gap() => {
                let here = |source: &FollowedPartition| {
                    let topic = self.kafka.topic_name(A::FOLLOWS[source.table].topic);
                    topic == at.topic && source.state.partition() == at.partition
                };
                sources.iter().position(here).map(Some)
            }
            _ => None,
        }
    }
}
