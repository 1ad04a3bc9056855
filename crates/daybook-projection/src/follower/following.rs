//! The follower's thread: pass after pass over the log, from the checkpoint on, until it is asked to stop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_event::event_data::EventData;
use daybook_event::sequence::SequenceError;
use daybook_kafka::{Kafka, Polled, Reader, Record};
use daybook_service::{Pause, Stop};
use tokio::sync::watch;

use super::end_offsets::Findings;
use super::log::{Found, RETRY_AFTER};
use super::repair::RepairQueue;
use super::report::Catching;
use super::report::ReportPanic;
use crate::engine::{Engine, Incoming};
use crate::generation::Generation;
use crate::progress::{Progress, State};
use crate::projection::Projection;
use crate::stop::StopReason;

/// How often a stopped follower checks whether something is asked of it.
const POLL_EVERY: Duration = Duration::from_millis(50);
/// Pause before the log is read again after what may pass, doubled each time up to [`RETRY_PAUSE_MAX`].
const RETRY_PAUSE: Duration = Duration::from_millis(500);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(60);

pub(super) struct Following<E: 'static> {
    pub(super) kafka: Kafka,
    pub(super) generation: Arc<Generation>,
    pub(super) projection: Projection<E>,
    pub(super) engine: Engine<E>,
    pub(super) progress: Arc<watch::Sender<Arc<Progress>>>,
    pub(super) stopping: Stop,
    pub(super) repair_queue: RepairQueue,
    pub(super) findings: Findings,
    /// What it is doing but for a stop.
    pub(super) going: State,
    pub(super) pause: Pause,
}

/// Growing, as long as what may pass lasts.
pub(super) fn retry_pause() -> Pause {
    Pause::new(RETRY_PAUSE, RETRY_PAUSE_MAX)
}

impl<E: EventData> Following<E> {
    pub(super) fn run(mut self) {
        let _guard = ReportPanic(self.progress.clone());
        while let Err(reason) = self.follow().and_then(|()| self.commit()) {
            let again = reason.may_pass().then(|| Instant::now() + self.pause.longer());
            self.report_stopped(reason);
            if !self.wait_to_resume(again) {
                return;
            }
        }
    }

    /// Stopped, it still releases events and leaves them out: that may be what it takes to resume; or it resumes at `again`, when
    /// the log is read again from the checkpoint. `false` for the request to stop.
    fn wait_to_resume(&mut self, again: Option<Instant>) -> bool {
        self.engine.forget(&self.generation.checkpoint());
        while !self.stopping.wait(POLL_EVERY) {
            // With nothing to be committed, it does not fail.
            if self.repair().is_ok_and(|repaired| repaired) || again.is_some_and(|at| Instant::now() >= at) {
                return true;
            }
        }
        false
    }

    /// Does what is asked for; returns whether that changed what waits. Everything is then read again from the checkpoint.
    pub(super) fn repair(&mut self) -> Result<bool, StopReason> {
        let mut repaired = false;
        while let Some(request) = self.repair_queue.next() {
            self.commit()?;
            repaired |= request.answer(&self.generation, self.projection);
        }
        if repaired {
            self.engine.forget(&self.generation.checkpoint());
            // Those who wait for a released event check again.
            self.progress.send_modify(|_| {});
        }
        Ok(repaired)
    }

    /// Reads for ever. After a log went back its resume points are found again: its events may have moved to other offsets.
    fn follow(&mut self) -> Result<(), StopReason> {
        // Found before the stop.
        let _before = self.findings.mismatch.take();
        let Some(mut found) = self.wait_until_readable()? else { return Ok(()) };
        let (mut catching, mut gap_before) = (Catching::default(), None);
        loop {
            let next = match self.read_pass(&mut catching, &found) {
                Ended::StopRequested => return Ok(()),
                Ended::Stopped(reason) => return self.commit().and(Err(reason)),
                Ended::ReadAgain => {
                    self.engine.forget(&self.generation.checkpoint());
                    self.wait_until_readable()?
                }
                Ended::Moved(gap, reason) => self.find_again(gap, reason, &mut gap_before)?,
                // It settled just before. A leader that comes and goes is not run after.
                Ended::Returned if self.stopping.wait(RETRY_AFTER) => None,
                Ended::Returned => self.wait_until_readable()?,
            };
            let Some(next) = next else { return Ok(()) };
            found = next;
        }
    }

    /// Finds the resume points again, since the log may have gone back; `None` if the request to stop came first.
    fn find_again(
        &mut self,
        gap: Option<RecordOffset>,
        reason: StopReason,
        gap_before: &mut Option<RecordOffset>,
    ) -> Result<Option<Found>, StopReason> {
        self.commit()?;
        // Met again after that search, with no event of the partition in between, it is one indeed. Before, what lay in between may
        // have been read of a log that is no longer there.
        if gap.is_some() && *gap_before == gap {
            return Err(reason);
        }
        *gap_before = gap;
        tracing::warn!("the log may have gone back; the resume point is searched again: {reason}");
        if self.stopping.wait(RETRY_AFTER) {
            return Ok(None);
        }
        self.wait_until_readable()
    }
}

const IDLE_POLL: Duration = Duration::from_millis(100);
/// How long an event may wait for its commit while more keep coming.
const COMMIT_AFTER: Duration = Duration::from_millis(50);

pub(super) type RecordOffset = (usize, i64);

pub(super) enum Ended {
    /// The request to stop.
    StopRequested,
    /// Something that no further reading repairs; the rows before it can be committed.
    Stopped(StopReason),
    /// Events have left the quarantine; or it is doubted that the log is still the one that is followed.
    ReadAgain,
    /// The log is perhaps no longer what it was: an offset is gone, or a record comes too early, and this is where the
    /// one before it lay.
    Moved(Option<RecordOffset>, StopReason),
    /// A partition is answered for that was left out: its resume point is to be found.
    Returned,
}

impl<E: EventData> Following<E> {
    /// Reads what was found, and commits; returns why it goes no further.
    pub(super) fn read_pass(&mut self, catching: &mut Catching, found: &Found) -> Ended {
        for (source, start) in found.here.iter().zip(&found.starts) {
            self.engine.seek(*source, start.offset);
        }
        catching.learn(&found.log);
        catching.forget_heard();
        // Of a search before this one.
        let _before = self.findings.doubt.take();
        self.findings.readings.begin(self.engine.counted());
        let ended = match Reader::open(&self.kafka, &found.starts) {
            Ok(reader) => self.read(&reader, found, catching),
            Err(error) => Err(Ended::Stopped(error.into())),
        };
        match ended {
            Ok(()) => Ended::StopRequested,
            Err(ended) => ended,
        }
    }

    fn read(&mut self, reader: &Reader, found: &Found, catching: &mut Catching) -> Result<(), Ended> {
        let mut commit_at = None;
        while !self.stopping.requested() {
            self.attend()?;
            let due = match self.poll(reader)? {
                Polled::Record(record) => {
                    let source = found.here[record.source()];
                    catching.hear(source);
                    self.apply(source, &record)?;
                    let commit_at = *commit_at.get_or_insert_with(|| Instant::now() + COMMIT_AFTER);
                    self.engine.full() || Instant::now() >= commit_at
                }
                Polled::End { source } => {
                    catching.hear(found.here[source]);
                    catching.reach(found.here[source]);
                    self.findings.readings.reach(found.here[source]);
                    false
                }
                Polled::Nothing => true,
            };
            if due {
                commit_at = None;
                self.settle(found, catching)?;
            }
        }
        Ok(())
    }

    fn attend(&mut self) -> Result<(), Ended> {
        match self.repair().map_err(Ended::Stopped)? {
            true => Err(Ended::ReadAgain),
            false => Ok(()),
        }
    }

    fn poll<'r>(&self, reader: &'r Reader) -> Result<Polled<'r>, Ended> {
        // With rows to commit, only what is there already is taken along.
        let timeout = if self.engine.uncommitted() { Duration::ZERO } else { IDLE_POLL };
        reader.poll(timeout).map_err(|error| match Self::may_have_moved(&error) {
            true => Ended::Moved(None, error.into()),
            false => Ended::Stopped(error.into()),
        })
    }

    /// Commits what has been read, and checks whether the topics still match the projection.
    fn settle(&mut self, found: &Found, catching: &mut Catching) -> Result<(), Ended> {
        self.commit().map_err(Ended::Stopped)?;
        self.report_state(catching);
        self.engine.report_set_aside();
        self.findings.readings.read(self.engine.counted());
        if let Some(reason) = self.findings.doubt.take() {
            tracing::warn!("the resume point is searched again: {reason}");
            return Err(Ended::ReadAgain);
        }
        match self.findings.mismatch.take() {
            Some(reason) => Err(Ended::Stopped(reason)),
            None if self.is_back(found) => Err(Ended::Returned),
            None => Ok(()),
        }
    }

    fn is_back(&self, found: &Found) -> bool {
        !found.left_out.is_empty() && {
            let away = &self.progress.borrow().away;
            found.left_out.iter().any(|source| !away.contains_key(source))
        }
    }

    fn apply(&mut self, source: usize, record: &Record<'_>) -> Result<(), Ended> {
        let offset = record.offset();
        let incoming = Incoming { source, offset, key: record.key(), value: record.value() };
        match self.engine.apply(&self.generation, incoming, || record.headers()) {
            Ok(()) => Ok(()),
            Err(reason @ StopReason::Sequence { error: SequenceError::Gap { .. }, .. }) => {
                Err(Ended::Moved(Some((source, self.engine.resume_offset(source))), reason))
            }
            Err(reason) => Err(Ended::Stopped(reason)),
        }
    }
}
