//! The follower's thread: passes over the log from the checkpoint on.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use event_log::topics::{self, Watermarks};
use event_log::{Kafka, LogError, Polled, Reader};
use schemas::event_data::EventData;
use tokio::sync::watch;

use super::{Hold, Stopping};
use crate::kernel::engine::{Engine, Incoming};
use crate::kernel::generation::Generation;
use crate::kernel::progress::{Progress, State};
use crate::kernel::sources::{self, Misfit};
use crate::kernel::stop::StopReason;

/// How long to wait for a record when there is nothing to commit; bounds how long a request to stop goes unseen.
const IDLE_POLL: Duration = Duration::from_millis(100);
/// How long an event may wait for its commit while more keep coming.
const COMMIT_AFTER: Duration = Duration::from_millis(50);
/// How long a broker may take to answer before it counts as away; it is tried again for ever.
const REACHABLE_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause between two looks at a broker that is away or at topics that do not exist yet.
const RETRY_AFTER: Duration = Duration::from_millis(500);

pub(super) struct Following<E: 'static> {
    pub(super) kafka: Kafka,
    pub(super) generation: Arc<Generation>,
    pub(super) engine: Engine<E>,
    pub(super) progress: Arc<watch::Sender<Arc<Progress>>>,
    pub(super) stopping: Stopping,
    pub(super) hold: Hold,
}

/// A record that must not be folded: the partition's index and the offset.
type Before = (usize, i64);

/// What ended a pass.
enum Ended {
    /// The request to stop, or the record to stop before.
    Asked,
    /// Something that no further reading repairs; the rows before it can be committed.
    Stopped(StopReason),
    /// A fold that failed: rows since the last commit are not to be trusted.
    Unfoldable(Before, StopReason),
}

/// Which partitions have been read up to the end that was seen at the start.
struct Catching {
    ends: Vec<i64>,
    reached: Vec<bool>,
}

impl<E: EventData> Following<E> {
    pub(super) fn run(mut self) {
        let _guard = TellPanic(self.progress.clone());
        let stopped = self.follow().and_then(|()| self.commit());
        if let Err(reason) = stopped {
            tracing::error!("the projection stopped: {reason}");
            publish_state(&self.progress, State::Stopped(Arc::new(reason)));
        }
        self.hold.end();
    }

    fn follow(&mut self) -> Result<(), StopReason> {
        let Some(log) = self.wait_for_log()? else { return Ok(()) };
        sources::check(&self.generation.checkpoint(), &log, self.kafka.embedded)?;
        let mut catching = Catching::new(&log);
        match self.pass(&mut catching, None) {
            Ended::Asked => Ok(()),
            Ended::Stopped(reason) => {
                self.commit()?;
                Err(reason)
            }
            Ended::Unfoldable(before, reason) => {
                self.engine.forget(&self.generation.checkpoint());
                match self.pass(&mut catching, Some(before)) {
                    Ended::Asked => self.commit()?,
                    // The first reason stays the one to tell.
                    Ended::Stopped(again) | Ended::Unfoldable(_, again) => {
                        tracing::warn!("while reading again up to the event that cannot be folded: {again}");
                    }
                }
                Err(reason)
            }
        }
    }

    /// What the log holds; `None` if the request to stop came first.
    fn wait_for_log(&self) -> Result<Option<Vec<Watermarks>>, StopReason> {
        let mut told = String::new();
        loop {
            let problem = match self.look_at_log() {
                Ok(Ok(log)) => return Ok(Some(log)),
                Ok(Err(Misfit::Partitions(reason))) => return Err(reason),
                Ok(Err(Misfit::Missing { topic })) => {
                    format!("topic {} does not exist yet", self.kafka.topic_name(&topic))
                }
                Err(error) => error,
            };
            if problem != told {
                tracing::warn!("not following yet: {problem}; trying again");
                told = problem;
            }
            if self.hold.is_wanted() {
                self.hold.stand(|| self.stopping.requested());
            }
            if self.stopping.wait(RETRY_AFTER) {
                return Ok(None);
            }
        }
    }

    fn look_at_log(&self) -> Result<Result<Vec<Watermarks>, Misfit>, String> {
        topics::wait_reachable(&self.kafka, REACHABLE_TIMEOUT).map_err(|error| error.to_string())?;
        sources::watermarks(&self.kafka, &self.generation.checkpoint()).map_err(|error| error.to_string())
    }

    fn pass(&mut self, catching: &mut Catching, before: Option<Before>) -> Ended {
        let starts = sources::starts(&self.generation.checkpoint());
        let ended = match Reader::open(&self.kafka, &starts) {
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
            // With rows to commit, only what is there already is taken along.
            let timeout = if self.engine.uncommitted() { Duration::ZERO } else { IDLE_POLL };
            let polled = reader.poll(timeout).map_err(|error| Ended::Stopped(self.explain(error)))?;
            let due = match polled {
                Polled::Record(record) => {
                    let at = (record.source(), record.offset());
                    if before == Some(at) {
                        return Ok(());
                    }
                    let incoming = Incoming { source: at.0, offset: at.1, value: record.value() };
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
            }
        }
        Ok(())
    }

    fn apply(
        &mut self,
        record: Incoming<'_>,
        headers: impl FnOnce() -> Vec<(String, Vec<u8>)>,
    ) -> Result<(), Ended> {
        match self.engine.apply(&self.generation, record, headers) {
            Ok(_) => Ok(()),
            Err(reason @ (StopReason::Fold { .. } | StopReason::Store(_))) => {
                Err(Ended::Unfoldable((record.source, record.offset), reason))
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

    /// An offset that is not in the log is told as at the start: what the log still holds, and the remedy.
    fn explain(&self, error: LogError) -> StopReason {
        if let LogError::OffsetOutOfRange { .. } = error
            && let Ok(Ok(log)) = self.look_at_log()
            && let Err(reason) = sources::check(&self.generation.checkpoint(), &log, self.kafka.embedded)
        {
            return reason;
        }
        error.into()
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

fn publish_state(progress: &watch::Sender<Arc<Progress>>, state: State) {
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
