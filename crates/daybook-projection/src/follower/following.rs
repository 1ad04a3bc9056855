//! The follower's thread: pass after pass over the log, from the checkpoint on, until it is asked to stop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_event::event_data::EventData;
use daybook_kafka::Kafka;
use daybook_service::{Pause, Stop};
use tokio::sync::watch;

use super::catching::Catching;
use super::end_offsets::Findings;
use super::log::{Found, RETRY_AFTER};
use super::pass::{Ended, RecordPlace};
use super::repair::Asking;
use super::telling::TellPanic;
use crate::engine::Engine;
use crate::generation::Generation;
use crate::progress::{Progress, State};
use crate::projection::Projection;
use crate::stop::StopReason;

/// How often a stopped follower looks whether something is asked of it.
const LOOK_EVERY: Duration = Duration::from_millis(50);
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
    pub(super) asking: Asking,
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
        let _guard = TellPanic(self.progress.clone());
        while let Err(reason) = self.follow().and_then(|()| self.commit()) {
            let again = reason.may_pass().then(|| Instant::now() + self.pause.longer());
            self.tell_stopped(reason);
            if !self.wait_to_go_on(again) {
                return;
            }
        }
    }

    /// Stopped, it still releases events and leaves them out: that may be what it takes to go on, or it goes on at `again`, where
    /// the log is read anew from the checkpoint. `false` for the request to stop.
    fn wait_to_go_on(&mut self, again: Option<Instant>) -> bool {
        self.engine.forget(&self.generation.checkpoint());
        while !self.stopping.wait(LOOK_EVERY) {
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
        // Of a look before the stop.
        let _before = self.findings.unfit.take();
        let Some(mut found) = self.wait_for_place()? else { return Ok(()) };
        let (mut catching, mut gap_before) = (Catching::default(), None);
        loop {
            let next = match self.pass(&mut catching, &found) {
                Ended::Asked => return Ok(()),
                Ended::Stopped(reason) => return self.commit().and(Err(reason)),
                Ended::ReadAgain => {
                    self.engine.forget(&self.generation.checkpoint());
                    self.wait_for_place()?
                }
                Ended::Moved(place, reason) => self.find_again(place, reason, &mut gap_before)?,
                // It settled just before. A leader that comes and goes is not run after.
                Ended::Returned if self.stopping.wait(RETRY_AFTER) => None,
                Ended::Returned => self.wait_for_place()?,
            };
            let Some(next) = next else { return Ok(()) };
            found = next;
        }
    }

    /// Looks for the place again, since the log may have gone back; `None` if the request to stop came first.
    fn find_again(
        &mut self,
        gap: Option<RecordPlace>,
        reason: StopReason,
        gap_before: &mut Option<RecordPlace>,
    ) -> Result<Option<Found>, StopReason> {
        self.commit()?;
        // Met again behind such a look, with no event of the partition in between, it is one indeed. Before, what lay in between may
        // have been read of a log that is no longer there.
        if gap.is_some() && *gap_before == gap {
            return Err(reason);
        }
        *gap_before = gap;
        tracing::warn!("the log may have gone back, the place is looked for again: {reason}");
        if self.stopping.wait(RETRY_AFTER) {
            return Ok(None);
        }
        self.wait_for_place()
    }
}
