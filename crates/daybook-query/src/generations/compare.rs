//! Whether a candidate says what is served says, at one place in the log.
//!
//! Two that follow are hardly ever at one place by themselves. So the candidate stands still until what is served, which moves on,
//! has got as far; then it follows to where that one was at one commit, and both are compared.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use daybook_event::event_data::EventData;
use daybook_projection::generation::Moment;
use daybook_projection::store::Failure;
use daybook_projection::verify::{Sample, parked_differently};
use daybook_projection::{Checkpoint, Generation, Progress, State, StopReason, catch_up};
use daybook_service::Stop;

use super::candidate::Opener;
use super::candidate::{Candidate, Ended, Standing, stopped};
use crate::limits::{COMPARE_PAUSE, COMPARE_POLL_INTERVAL, COMPARE_TIMEOUT};
use crate::serving::Serving;

pub(super) struct Compared {
    pub(super) candidate: Candidate,
    pub(super) again: Option<String>,
}

enum AsFar {
    /// It has got as far at this commit.
    Reached(Arc<Moment>),
    /// It gets no further at present, and nobody knows when it will.
    Stuck,
    NotYet,
}

impl<E: EventData + 'static> Opener<E> {
    /// Compares a candidate that has got as far with what is served, as far as that can be done; then it follows on. Blocks for as
    /// long as [`COMPARE_TIMEOUT`] says, unless it is given up.
    /// Errors: Where the candidate is, which is closed then.
    pub(super) fn compare(
        &self,
        candidate: Candidate,
        served: &Serving,
        given_up: &Stop,
    ) -> Result<Compared, Standing> {
        if !is_to_be_compared(&candidate, served) {
            return Ok(Compared { candidate: Candidate { compare_at: None, ..candidate }, again: None });
        }
        let Candidate { name, generation, follower, is_accepted, .. } = candidate;
        follower.stop().map_err(|error| stopped(&StopReason::Store(error)))?;
        let until = Instant::now() + COMPARE_TIMEOUT;
        let stop = || given_up.requested() || Instant::now() >= until;
        let again = match as_far(served, &generation.checkpoint(), &stop) {
            AsFar::Reached(moment) => self.compare_at(&generation, served, &moment, &stop)?,
            AsFar::NotYet => Some(not_in_time()),
            AsFar::Stuck => {
                tracing::warn!(
                    "{name} is not compared with {}, which gets no further at present",
                    served.name
                );
                None
            }
        };
        let unfollowed =
            |error: std::io::Error| Standing::Again(format!("it cannot be followed on: {error}"));
        let candidate = self.follow(name, generation).map_err(unfollowed)?;
        let compare_at = again.is_some().then(|| tokio::time::Instant::now() + COMPARE_PAUSE);
        Ok(Compared { candidate: Candidate { is_accepted, compare_at, ..candidate }, again })
    }

    /// Follows to where what is served was at that moment. Returns why that is to be tried once more.
    pub(super) fn compare_at(
        &self,
        generation: &Arc<Generation>,
        served: &Serving,
        moment: &Moment,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<String>, Standing> {
        let followed = catch_up(&self.kafka, generation, self.projection, &moment.checkpoint, stop);
        if let Err(reason) = followed {
            return not_followed(&reason);
        }
        let here = generation.last_moment();
        if !here.checkpoint.covers(&moment.checkpoint) || !moment.checkpoint.covers(&here.checkpoint) {
            return Ok(Some(not_in_time()));
        }
        contradiction(&here, moment, &served.name).map_or(Ok(None), Err)
    }
}

/// An older one is a rollback, which an operator wants, as is one that was accepted as it is.
fn is_to_be_compared(candidate: &Candidate, served: &Serving) -> bool {
    candidate.name > served.name && !candidate.is_accepted
}

/// What stopped it may be a log that lost its end and has it again, at other offsets. Its follower finds its resume point again, and stops
/// for good if it is anything else: so nothing but its own store ends a comparison.
fn not_followed(reason: &StopReason) -> Result<Option<String>, Standing> {
    match stopped(reason) {
        Standing::Waits(why) | Standing::Ended(Ended { why, .. }) => Ok(Some(why)),
        standing => Err(standing),
    }
}

fn as_far(served: &Serving, here: &Checkpoint, stop: &dyn Fn() -> bool) -> AsFar {
    let before = served.generation.checkpoint();
    loop {
        let moment = served.generation.last_moment();
        if moment.checkpoint.covers(here) {
            return AsFar::Reached(moment);
        }
        let progress = served.progress.borrow().clone();
        if let State::Stopped(reason) = &progress.state
            && gets_no_further(reason)
        {
            return AsFar::Stuck;
        }
        if stop() {
            let is_stuck = is_stuck(&before, &moment.checkpoint, here, &progress);
            return if is_stuck { AsFar::Stuck } else { AsFar::NotYet };
        }
        thread::sleep(COMPARE_POLL_INTERVAL);
    }
}

/// Whether what is served has not moved in a partition in which the candidate is ahead, and is not about to: it is stopped, or
/// nobody answers for that partition.
fn is_stuck(before: &Checkpoint, now: &Checkpoint, here: &Checkpoint, progress: &Progress) -> bool {
    let is_stopped = matches!(progress.state, State::Stopped(_));
    here.sources().any(|(source, here)| {
        let position =
            |at: &Checkpoint| at.get(&source.topic, source.partition).map_or(0, |at| at.next_position);
        position(now) < here.next_position
            && position(now) == position(before)
            && (is_stopped || progress.away.contains_key(source))
    })
}

/// Whether a projection that stopped is not to be waited for. What may pass is tried again; a disk that took no write is mended.
fn gets_no_further(reason: &StopReason) -> bool {
    reason.failure().map_or(!reason.may_pass(), |failure| failure == Failure::Damage)
}

fn not_in_time() -> String {
    let limit_s = COMPARE_TIMEOUT.as_secs();
    format!("it could not be compared with what is served within {limit_s} s")
}

/// Both are at one place. Where not the same events wait, the rows are not the same either.
fn contradiction(new: &Moment, old: &Moment, served: &str) -> Option<Standing> {
    let parked = |moment| Sample::of("", "", moment).parked;
    if new.digest == old.digest || !parked_differently(&parked(old), &parked(new)).is_empty() {
        return None;
    }
    Some(Standing::Rejected(format!(
        "its rows have digest {}, those of {served} at the same place {}: one of the two is damaged; `projector --verify` says \
         whether it is {served}",
        new.digest, old.digest
    )))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use daybook_event::sequence::SequenceError;
    use daybook_kafka::topics::TopicError;
    use daybook_projection::{RecordAt, SourceCheckpoint, SourceId, StoreError};

    use super::*;

    fn source(partition: i32) -> SourceId {
        SourceId { topic: "orders.events".into(), partition }
    }

    fn checkpoint(positions: [u64; 2]) -> Checkpoint {
        let at = |next_position| SourceCheckpoint { next_position, ..Default::default() };
        Checkpoint::from_sources((0..).zip(positions).map(|(partition, next)| (source(partition), at(next))))
    }

    #[test]
    fn what_stands_still_and_cannot_move_where_the_candidate_is_ahead_is_not_waited_for() {
        let going = Progress::start(Arc::new(checkpoint([3, 3])));
        let reason = StopReason::Log { error: "denied".to_owned(), passes: true };
        let stopped = Progress { state: State::Stopped(Arc::new(reason)), ..going.clone() };
        let why = TopicError::Missing { topic: "orders.events".to_owned() };
        let without = |partition| {
            let away = Arc::new(BTreeMap::from([(source(partition), why.clone())]));
            Progress { away, ..going.clone() }
        };
        let (before, here) = (checkpoint([3, 3]), checkpoint([5, 3]));
        let is_stuck = |now, progress: &Progress| is_stuck(&before, &checkpoint(now), &here, progress);
        assert!(!is_stuck([3, 3], &going), "it is slow, maybe");
        assert!(is_stuck([3, 3], &stopped) && is_stuck([3, 9], &stopped));
        assert!(!is_stuck([4, 3], &stopped), "it moves");
        assert!(is_stuck([3, 3], &without(0)) && is_stuck([3, 9], &without(0)));
        assert!(!is_stuck([3, 3], &without(1)), "the candidate is no further there");
    }

    #[test]
    fn a_comparison_in_which_the_log_was_not_what_it_was_is_made_once_more() {
        let at =
            || Box::new(RecordAt { topic: "orders.events".into(), partition: 0, offset: 3, event_id: None });
        let gap = SequenceError::Gap { expected: 3, found: 5, set_aside: 0 };
        assert!(not_followed(&StopReason::Sequence { at: at(), error: gap }).unwrap().is_some());
        assert!(not_followed(&StopReason::LogWentBack { at: at(), high: 2 }).unwrap().is_some());
        let damaged = StoreError::damaged("read", Path::new("gen-000002"), "a reason");
        assert!(matches!(not_followed(&StopReason::Store(damaged)), Err(Standing::Rejected(_))));
    }

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
