//! The follower's thread: passes over the log from the checkpoint on.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use event_log::topics::Watermarks;
use event_log::{Kafka, Polled, Reader, Start};
use schemas::event_data::EventData;
use schemas::sequence::SequenceError;
use tokio::sync::watch;

use super::end_offsets::Unfit;
use super::log::RETRY_AFTER;
use super::repair::Asking;
use super::{Hold, Stopping};
use crate::kernel::engine::{Engine, Incoming};
use crate::kernel::generation::Generation;
use crate::kernel::progress::{Progress, State};
use crate::kernel::projection::Projection;
use crate::kernel::stop::StopReason;

/// How long to wait for a record when there is nothing to commit; bounds how long a request to stop goes unseen.
const IDLE_POLL: Duration = Duration::from_millis(100);
/// How often a stopped follower looks whether something is asked of it.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long an event may wait for its commit while more keep coming.
const COMMIT_AFTER: Duration = Duration::from_millis(50);

pub(super) struct Following<E: 'static> {
    pub(super) kafka: Kafka,
    pub(super) generation: Arc<Generation>,
    pub(super) projection: Projection<E>,
    pub(super) engine: Engine<E>,
    pub(super) progress: Arc<watch::Sender<Arc<Progress>>>,
    pub(super) stopping: Stopping,
    pub(super) hold: Hold,
    pub(super) asking: Asking,
    pub(super) unfit: Unfit,
}

/// A record that must not be folded: the partition's index and the offset.
type Before = (usize, i64);

/// What ended a pass.
enum Ended {
    /// The request to stop, or the record to stop before.
    Asked,
    /// Something that no further reading repairs; the rows before it can be committed.
    Stopped(StopReason),
    /// A fold that failed, and the event will wait when it is read again; or events have left the quarantine.
    ReadAgain,
    /// A fold that failed: rows since the last commit are not to be trusted.
    Unfoldable(Before, StopReason),
    /// The log is perhaps no longer what it was: an offset is gone, or a record comes too early, and this is where the
    /// one before it lay.
    Moved(Option<(usize, i64)>, StopReason),
}

/// Which partitions have been read up to the end that was seen at the start.
struct Catching {
    ends: Vec<i64>,
    reached: Vec<bool>,
}

impl<E: EventData> Following<E> {
    pub(super) fn run(mut self) {
        let _guard = TellPanic(self.progress.clone());
        while let Err(reason) = self.follow().and_then(|()| self.commit()) {
            tracing::error!("the projection stopped: {reason}");
            let before = self.progress.borrow().state.clone();
            publish_state(&self.progress, State::Stopped(Arc::new(reason)));
            self.hold.end();
            if !self.wait_for_repair() {
                return;
            }
            tracing::warn!("events left the quarantine; following goes on");
            self.hold.go_on();
            publish_state(&self.progress, before);
        }
        self.hold.end();
    }

    /// Stopped, it still releases events and leaves them out: that may be what it takes to go on. Returns whether it did
    /// so; `false` for the request to stop.
    fn wait_for_repair(&mut self) -> bool {
        self.engine.forget(&self.generation.checkpoint());
        while !self.stopping.wait(LOOK_EVERY) {
            // With nothing to be committed, it does not fail.
            if !self.hold.is_wanted() && self.repair().is_ok_and(|repaired| repaired) {
                return true;
            }
        }
        false
    }

    /// Does what is asked for; returns whether that changed what waits. Everything is then read again from the checkpoint.
    pub(super) fn repair(&mut self) -> Result<bool, StopReason> {
        let mut repaired = false;
        while let Some(asked) = self.asking.next() {
            self.commit()?;
            repaired |= asked.answer(&self.generation, self.projection);
        }
        if repaired {
            self.engine.forget(&self.generation.checkpoint());
            // Who waits for an event that was released looks again.
            self.progress.send_modify(|_| {});
        }
        Ok(repaired)
    }

    /// Reads for ever. A log that went back is looked at anew: its events may have moved to other offsets.
    fn follow(&mut self) -> Result<(), StopReason> {
        let Some(mut found) = self.wait_for_place()? else { return Ok(()) };
        let mut catching = Catching::new(&found.log);
        loop {
            let ended = self.pass(&mut catching, &found.starts, None);
            let (place, reason) = match ended {
                Ended::Asked => return Ok(()),
                Ended::Stopped(reason) => {
                    self.commit()?;
                    return Err(reason);
                }
                Ended::Unfoldable(before, reason) => {
                    return Err(self.stop_before(before, reason, &mut catching));
                }
                Ended::ReadAgain => {
                    self.engine.forget(&self.generation.checkpoint());
                    let Some(again) = self.wait_for_place()? else { return Ok(()) };
                    found = again;
                    continue;
                }
                Ended::Moved(place, reason) => (place, reason),
            };
            self.commit()?;
            tracing::warn!("the log may have gone back, the place is looked for again: {reason}");
            if self.stopping.wait(RETRY_AFTER) {
                return Ok(());
            }
            let Some(again) = self.wait_for_place()? else { return Ok(()) };
            // The record before the gap is what it should be: it is a gap indeed.
            if place.is_some_and(|(source, offset)| again.starts[source].offset >= offset) {
                return Err(reason);
            }
            found = again;
        }
    }

    /// Commits what came before a record that cannot be folded; returns why it cannot.
    fn stop_before(&mut self, before: Before, reason: StopReason, catching: &mut Catching) -> StopReason {
        self.engine.forget(&self.generation.checkpoint());
        let ended = match self.wait_for_place() {
            Ok(Some(found)) => self.pass(catching, &found.starts, Some(before)),
            Ok(None) => Ended::Asked,
            Err(again) => Ended::Stopped(again),
        };
        let committed = match ended {
            Ended::Asked => self.commit(),
            // Whatever else could not be folded came before, and would have been met then.
            Ended::ReadAgain => Ok(()),
            Ended::Stopped(again) | Ended::Unfoldable(_, again) | Ended::Moved(_, again) => Err(again),
        };
        // The first reason stays the one to tell.
        if let Err(again) = committed {
            tracing::warn!("while reading again up to the event that cannot be folded: {again}");
        }
        reason
    }

    fn pass(&mut self, catching: &mut Catching, starts: &[Start], before: Option<Before>) -> Ended {
        for (source, start) in starts.iter().enumerate() {
            self.engine.go_on_at(source, start.offset);
        }
        let ended = match Reader::open(&self.kafka, starts) {
            Ok(reader) => self.read(&reader, catching, before),
            Err(error) => Err(Ended::Stopped(error.into())),
        };
        match ended {
            Ok(()) => Ended::Asked,
            Err(ended) => ended,
        }
    }

    fn read(
        &mut self,
        reader: &Reader,
        catching: &mut Catching,
        before: Option<Before>,
    ) -> Result<(), Ended> {
        let mut commit_at = None;
        while !self.stopping.requested() {
            if self.hold.is_wanted() {
                self.commit().map_err(Ended::Stopped)?;
                self.hold.stand(|| self.stopping.requested());
            }
            if self.repair().map_err(Ended::Stopped)? {
                return Err(Ended::ReadAgain);
            }
            // With rows to commit, only what is there already is taken along.
            let timeout = if self.engine.uncommitted() { Duration::ZERO } else { IDLE_POLL };
            let polled = reader.poll(timeout).map_err(|error| match Self::may_have_moved(&error) {
                true => Ended::Moved(None, error.into()),
                false => Ended::Stopped(error.into()),
            })?;
            let due = match polled {
                Polled::Record(record) => {
                    let at = (record.source(), record.offset());
                    if before == Some(at) {
                        return Ok(());
                    }
                    let (key, value) = (record.key(), record.value());
                    let incoming = Incoming { source: at.0, offset: at.1, key, value };
                    self.apply(incoming, || record.headers())?;
                    let commit_at = *commit_at.get_or_insert_with(|| Instant::now() + COMMIT_AFTER);
                    self.engine.full() || Instant::now() >= commit_at
                }
                Polled::End { source } => {
                    catching.reached[source] = true;
                    false
                }
                Polled::Nothing => true,
            };
            if due {
                commit_at = None;
                self.commit().map_err(Ended::Stopped)?;
                self.tell_when_caught_up(catching);
                if let Some(reason) = self.unfit.take() {
                    return Err(Ended::Stopped(reason));
                }
            }
        }
        Ok(())
    }

    fn apply(
        &mut self,
        record: Incoming<'_>,
        headers: impl Fn() -> Vec<(String, Vec<u8>)>,
    ) -> Result<(), Ended> {
        match self.engine.apply(&self.generation, record, headers) {
            Ok(_) => Ok(()),
            Err(_) if self.engine.reads_again() => Err(Ended::ReadAgain),
            Err(reason @ (StopReason::Fold { .. } | StopReason::Store(_))) => {
                Err(Ended::Unfoldable((record.source, record.offset), reason))
            }
            Err(reason @ StopReason::Sequence { error: SequenceError::Gap { .. }, .. }) => {
                Err(Ended::Moved(Some((record.source, self.engine.resume_offset(record.source))), reason))
            }
            Err(reason) => Err(Ended::Stopped(reason)),
        }
    }

    fn commit(&mut self) -> Result<(), StopReason> {
        if !self.engine.uncommitted() {
            return Ok(());
        }
        let committed = self.engine.commit(&self.generation);
        // Rows handed over and not written must not be followed by a checkpoint that counts on them.
        let checkpoint = committed.inspect_err(|_| self.engine.forget(&self.generation.checkpoint()))?;
        let counts = self.engine.counts();
        self.progress.send_modify(|progress| {
            let progress = Arc::make_mut(progress);
            progress.checkpoint = checkpoint;
            progress.events_applied = counts.applied;
            progress.duplicates_skipped = counts.duplicates;
            progress.superseded_skipped = counts.superseded;
            progress.last_event_at = counts.last_event_at;
        });
        Ok(())
    }

    fn tell_when_caught_up(&self, catching: &mut Catching) {
        let building = matches!(self.progress.borrow().state, State::Building);
        if building && catching.caught_up(|source| self.engine.next_offset(source)) {
            publish_state(&self.progress, State::Following);
        }
    }
}

impl Catching {
    fn new(log: &[Watermarks]) -> Self {
        Self { ends: log.iter().map(|held| held.high).collect(), reached: vec![false; log.len()] }
    }

    fn caught_up(&mut self, next_offset: impl Fn(usize) -> i64) -> bool {
        for (source, reached) in self.reached.iter_mut().enumerate() {
            *reached = *reached || next_offset(source) >= self.ends[source];
        }
        self.reached.iter().all(|reached| *reached)
    }
}

pub(super) fn publish_state(progress: &watch::Sender<Arc<Progress>>, state: State) {
    progress.send_modify(|progress| Arc::make_mut(progress).state = state);
}

/// Tells when the thread panics, so that nobody waits for a follower that is gone.
struct TellPanic(Arc<watch::Sender<Arc<Progress>>>);

impl Drop for TellPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            let detail = "its thread panicked; the log has the details".to_owned();
            publish_state(&self.0, State::Stopped(Arc::new(StopReason::Defect { detail })));
        }
    }
}
