//! Whether a candidate says what is served says, at one place in the log.
//!
//! Two that follow are hardly ever at one place by themselves. So the candidate stands still until what is served, which goes on,
//! has got as far; then it follows to where that one was at one commit, and both are compared.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use projector::kernel::generation::Moment;
use projector::kernel::store::Failure;
use projector::kernel::verify::{Sample, parked_differently};
use projector::kernel::{Checkpoint, Generation, State, StopReason, StoreError, catch_up};
use schemas::event_data::EventData;

use super::candidate::{Candidate, Standing, stopped};
use super::opener::Opener;
use crate::kernel::limits::{COMPARE_LOOK_INTERVAL, COMPARE_TIMEOUT};
use crate::kernel::serving::Serving;

impl<E: EventData + 'static> Opener<E> {
    /// Compares a candidate that has got as far with what is served, as far as that can be done; then it follows on. Blocks for as
    /// long as [`COMPARE_TIMEOUT`] says, unless it is given up.
    pub(super) fn compare(
        &self,
        candidate: Candidate,
        served: &Serving,
        given_up: &AtomicBool,
    ) -> Result<Candidate, Standing> {
        if !is_to_be_compared(&candidate, served).map_err(|error| Standing::Again(error.to_string()))? {
            return Ok(Candidate { is_compared: true, ..candidate });
        }
        let Candidate { name, generation, follower, .. } = candidate;
        follower.stop().map_err(|error| stopped(&StopReason::Store(error)))?;
        let until = Instant::now() + COMPARE_TIMEOUT;
        let stop = || given_up.load(Ordering::Relaxed) || Instant::now() >= until;
        match as_far(served, &generation.checkpoint(), &stop)? {
            Some(moment) => self.compare_at(&generation, served, &moment, &stop)?,
            None => tracing::warn!("{name} is not compared with {}, which gets no further", served.name),
        }
        let again = |error: std::io::Error| Standing::Again(format!("it cannot be followed on: {error}"));
        Ok(Candidate { is_compared: true, ..self.follow(name, generation).map_err(again)? })
    }

    /// Follows to where what is served was at that moment.
    fn compare_at(
        &self,
        generation: &Arc<Generation>,
        served: &Serving,
        moment: &Moment,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), Standing> {
        let followed = catch_up(&self.kafka, generation, self.projection, &moment.checkpoint, stop);
        followed.map_err(|reason| stopped(&reason))?;
        let here = generation.last_moment();
        if !here.checkpoint.covers(&moment.checkpoint) || !moment.checkpoint.covers(&here.checkpoint) {
            return Err(not_in_time());
        }
        contradiction(&here, moment, &served.name).map_or(Ok(()), Err)
    }
}

/// An older one is a rollback, and somebody's wish, as is one that was accepted as it is.
fn is_to_be_compared(candidate: &Candidate, served: &Serving) -> Result<bool, StoreError> {
    Ok(candidate.name > served.name && candidate.generation.accepted()?.is_none())
}

/// What is served, at a commit at which it has got as far as `here`; `None` if it gets no further.
fn as_far(
    served: &Serving,
    here: &Checkpoint,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Arc<Moment>>, Standing> {
    loop {
        let moment = served.generation.last_moment();
        if moment.checkpoint.covers(here) {
            return Ok(Some(moment));
        }
        let state = served.progress.borrow().state.clone();
        if let State::Stopped(reason) = state
            && gets_no_further(&reason)
        {
            return Ok(None);
        }
        if stop() {
            return Err(not_in_time());
        }
        thread::sleep(COMPARE_LOOK_INTERVAL);
    }
}

/// Whether a projection that stopped is not to be waited for. What may pass is tried again; a disk that took no write is mended.
fn gets_no_further(reason: &StopReason) -> bool {
    match reason {
        StopReason::Store(error) => error.failure == Failure::Damage,
        reason => !reason.may_pass(),
    }
}

fn not_in_time() -> Standing {
    let limit_s = COMPARE_TIMEOUT.as_secs();
    Standing::Again(format!("it could not be compared with what is served within {limit_s} s"))
}

/// Both are at one place. Where not the same events wait, the rows are not the same either.
fn contradiction(new: &Moment, old: &Moment, served: &str) -> Option<Standing> {
    let parked = |moment| Sample::of("", "", moment).parked;
    if new.digest == old.digest || !parked_differently(&parked(old), &parked(new)).is_empty() {
        return None;
    }
    Some(Standing::Unfit(format!(
        "its rows have digest {}, those of {served} at the same place {}: one of the two is damaged; `projector --verify` says \
         whether it is {served}",
        new.digest, old.digest
    )))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn only_what_will_not_move_again_is_not_compared_with() {
        let store = |failure| {
            let error = StoreError::new("read", Path::new("gen-000001"), "a reason");
            StopReason::Store(StoreError { failure, ..error })
        };
        let log = StopReason::Log { error: "no broker".to_owned(), passes: true };
        assert!(!gets_no_further(&log));
        assert!(!gets_no_further(&store(Failure::Write)));
        assert!(!gets_no_further(&store(Failure::Other)));
        assert!(gets_no_further(&store(Failure::Damage)));
    }
}
