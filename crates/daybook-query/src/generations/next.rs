//! The generation that is to be served next, and how far that is.

use std::time::Duration;

use daybook_projection::{Checkpoint, RecordAt};
use daybook_service::{Pause, Stop};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::candidate::OpenError;
use super::candidate::{Candidate, Ended, Standing};
use super::compare::Compared;
use crate::status::NextStatus;

/// Pause before an opening that failed is tried again, doubled up to [`OPEN_PAUSE_MAX`] while something else is served.
const OPEN_PAUSE: Duration = Duration::from_millis(250);
const OPEN_PAUSE_MAX: Duration = Duration::from_secs(30);
/// The longest one while nothing is served and everybody waits, unless the opening took longer.
const OPEN_PAUSE_UNSERVED_MAX: Duration = Duration::from_secs(2);
/// An opening that took long is not repeated at once: it read the whole store.
const OPEN_PAUSE_PER_OPENING: u32 = 10;
/// Pause before the log is asked once more whether what is served is right about a record that stopped this one.
const BLAME_PAUSE: Duration = Duration::from_secs(10);
/// So often it is opened afresh because something waits in it that is projected in what is served: an opening projects all that
/// this program can.
const TAKES_BACK_MAX: u32 = 3;

pub(super) struct Next {
    pub(super) name: String,
    pub(super) stage: Stage,
    pub(super) why: Option<String>,
    pause: Pause,
    tries: u32,
    /// How often something waited in it that is projected in what is served.
    takes_back: u32,
    /// The record that stopped it for good, and from when on it is checked whether what is served is past that.
    ended: Option<(RecordAt, Instant)>,
}

pub(super) enum Stage {
    /// It could not be opened or served, and is to be opened from `due_at` on; while nothing is served, from `unserved_at` on.
    Waiting {
        unserved_at: Instant,
        due_at: Instant,
    },
    Opening(Instant, JoinHandle<Result<Candidate, OpenError>>),
    CatchingUp(Candidate),
    Comparing(Comparing, JoinHandle<Result<Compared, Standing>>),
    Refused,
    Withdrawn(Withdrawn),
}

/// A comparison, which ends once nobody waits for its result.
pub(super) struct Comparing {
    pub(super) served: String,
    pub(super) given_up: Stop,
}

impl Drop for Comparing {
    fn drop(&mut self) {
        self.given_up.request();
    }
}

/// Why a generation is not to be served by anybody, and which one is to be published again.
#[derive(Debug, Clone)]
pub(super) struct Withdrawn {
    pub(super) why: String,
    pub(super) served: String,
    /// Whether that has been done: a later publication of the withdrawn one is a new wish.
    pub(super) is_put_back: bool,
}

impl Next {
    pub(super) fn new(name: String) -> Self {
        let (pause, now) = (Pause::new(OPEN_PAUSE, OPEN_PAUSE_MAX), Instant::now());
        let stage = Stage::Waiting { unserved_at: now, due_at: now };
        Self { name, stage, why: None, pause, tries: 0, takes_back: 0, ended: None }
    }

    /// Whether it is to be opened now. While nothing is served, everybody waits for it, and the pause does not grow as far.
    pub(super) fn is_due(&self, is_something_served: bool) -> bool {
        let Stage::Waiting { unserved_at, due_at } = self.stage else { return false };
        let due_at = if is_something_served { due_at } else { unserved_at };
        due_at <= Instant::now()
    }

    /// Whether it is about to be served, as far as can be said.
    pub(super) fn is_on_its_way(&self) -> bool {
        match &self.stage {
            Stage::Opening(..) | Stage::Comparing(..) => true,
            Stage::CatchingUp(_) => self.why.is_none(),
            Stage::Waiting { .. } | Stage::Refused | Stage::Withdrawn(_) => false,
        }
    }

    /// What was served is so no more: nobody compares this one with it any longer.
    pub(super) fn hurry(&mut self) {
        // It comes back as it is.
        if let Stage::Comparing(at_work, _) = &self.stage {
            at_work.given_up.request();
        }
    }

    pub(super) fn open(&mut self, opening: JoinHandle<Result<Candidate, OpenError>>) {
        self.tries += 1;
        self.stage = Stage::Opening(Instant::now(), opening);
    }

    /// Whatever the reason was, it is tried again.
    pub(super) fn failed(&mut self, why: String) {
        let took = match self.stage {
            Stage::Opening(began, _) => began.elapsed(),
            _ => Duration::ZERO,
        };
        let pause = self.pause.longer().max((took * OPEN_PAUSE_PER_OPENING).min(OPEN_PAUSE_MAX));
        let (now, unserved) = (Instant::now(), pause.min(OPEN_PAUSE_UNSERVED_MAX.max(took)));
        self.stage = Stage::Waiting { unserved_at: now + unserved, due_at: now + pause };
        self.why = Some(why);
    }

    pub(super) fn catch_up(&mut self, candidate: Candidate) {
        self.stage = Stage::CatchingUp(candidate);
        self.why = None;
    }

    pub(super) fn candidate(&self) -> Option<&Candidate> {
        match &self.stage {
            Stage::CatchingUp(candidate) => Some(candidate),
            _ => None,
        }
    }

    pub(super) fn take_candidate(&mut self) -> Option<Candidate> {
        self.candidate()?;
        match std::mem::replace(&mut self.stage, Stage::Refused) {
            Stage::CatchingUp(candidate) => Some(candidate),
            _ => None,
        }
    }

    /// It stands still, for a reason that may pass.
    pub(super) fn wait(&mut self, candidate: Candidate, why: String) {
        self.stage = Stage::CatchingUp(candidate);
        self.why = Some(why);
    }

    /// Its name, and why nobody is to serve it.
    pub(super) fn withdrawn(&self) -> Option<(&str, &Withdrawn)> {
        match &self.stage {
            Stage::Withdrawn(withdrawn) => Some((&self.name, withdrawn)),
            _ => None,
        }
    }

    /// Its name, if nobody is to serve it and another one is published in its place.
    pub(super) fn put_back(&self) -> Option<String> {
        matches!(self.withdrawn()?, (_, Withdrawn { is_put_back: true, .. })).then(|| self.name.clone())
    }

    /// Whether it is to be opened afresh once more because it would take back what was shown.
    pub(super) fn may_cease_to_take_back(&mut self) -> bool {
        self.takes_back += 1;
        self.takes_back < TAKES_BACK_MAX
    }

    pub(super) fn refuse(&mut self, why: String) {
        self.stage = Stage::Refused;
        self.why = Some(why);
        self.ended = None;
    }

    pub(super) fn end(&mut self, Ended { why, at }: Ended) {
        self.refuse(why);
        self.ended = at.map(|at| (at, Instant::now()));
    }

    /// The record that stopped it, if what has got as far as `reached` is past it, and it is time to ask the log who is right; that is
    /// asked again after [`BLAME_PAUSE`].
    pub(super) fn passed_by(&mut self, reached: &Checkpoint) -> Option<RecordAt> {
        let Stage::Refused = self.stage else { return None };
        let (at, due_at) = self.ended.as_mut()?;
        let is_past =
            reached.get(&at.topic, at.partition).is_some_and(|reached| reached.next_offset > at.offset);
        if !is_past || *due_at > Instant::now() {
            return None;
        }
        *due_at = Instant::now() + BLAME_PAUSE;
        Some(at.clone())
    }

    /// What `/status` says of it; `behind_events` is what it has not projected and the served one has.
    pub(super) fn report(&self, behind_events: Option<u64>) -> NextStatus {
        let state = match (&self.stage, &self.why) {
            (Stage::Refused, _) => NextStatus::REFUSED,
            (Stage::Withdrawn(_), _) => NextStatus::WITHDRAWN,
            (_, Some(_)) => "waiting",
            (Stage::Comparing(..), None) => "comparing",
            (Stage::CatchingUp(_), None) => "catching-up",
            (Stage::Waiting { .. } | Stage::Opening(..), None) => "opening",
        };
        let (generation, why) = (self.name.clone(), self.why.clone());
        NextStatus { generation, state, why, behind_events, tries: self.tries }
    }
}

pub(super) enum Moved {
    Opened(Result<Candidate, OpenError>),
    Compared(String, Result<Compared, Standing>),
    Further,
}

/// Ends when something has happened to what is to be served next.
pub(super) async fn moved(next: &mut Option<Next>) -> Moved {
    match next.as_mut().map(|next| &mut next.stage) {
        Some(Stage::Opening(_, opening)) => Moved::Opened(opening.await.map_err(OpenError::from).flatten()),
        Some(Stage::Comparing(at_work, comparing)) => {
            let without_a_result = |error| {
                Err(Standing::Again(format!(
                    "the comparison with what is served ended without a result: {error}"
                )))
            };
            let compared = comparing.await.unwrap_or_else(without_a_result);
            Moved::Compared(at_work.served.clone(), compared)
        }
        Some(Stage::CatchingUp(candidate)) => {
            // An error: its follower is gone, and has reported why.
            let _gone = candidate.progress.changed().await;
            Moved::Further
        }
        _ => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use daybook_projection::{SourceCheckpoint, SourceId};

    use super::*;

    fn waits(next: &Next) -> Duration {
        let Stage::Waiting { due_at, .. } = next.stage else { panic!("it is tried again") };
        due_at.duration_since(Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn an_opening_is_tried_again_later_each_time_and_the_longer_it_took() {
        let mut next = Next::new("gen-000001".to_owned());
        assert!(next.is_due(true));
        let pauses: Vec<_> = (0..9)
            .map(|_| {
                next.failed("the disk".to_owned());
                waits(&next).as_millis()
            })
            .collect();
        assert_eq!(pauses, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        assert!(!next.is_due(true));
        assert_eq!(next.report(None).state, "waiting");
        let mut next = Next::new("gen-000001".to_owned());
        next.open(tokio::spawn(std::future::pending()));
        tokio::time::advance(Duration::from_secs(2)).await;
        next.failed("the disk".to_owned());
        assert_eq!(waits(&next), Duration::from_secs(20));
    }

    #[tokio::test(start_paused = true)]
    async fn while_nothing_is_served_the_pause_before_the_next_opening_does_not_grow_as_far() {
        let mut next = Next::new("gen-000002".to_owned());
        (0..9).for_each(|_| next.failed("the disk".to_owned()));
        assert!(!next.is_due(false));
        tokio::time::advance(OPEN_PAUSE_UNSERVED_MAX).await;
        assert!(next.is_due(false) && !next.is_due(true));
        next.open(tokio::spawn(std::future::pending()));
        tokio::time::advance(Duration::from_secs(5)).await;
        next.failed("the disk".to_owned());
        tokio::time::advance(OPEN_PAUSE_UNSERVED_MAX).await;
        assert!(!next.is_due(false), "it reads the whole store no more than half of the time");
        assert!(!next.is_on_its_way());
        next.refuse("the log has a gap".to_owned());
        assert!(!next.is_on_its_way());
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_is_asked_who_is_right_once_what_is_served_is_past_the_record_that_stopped_it() {
        let reached = |next_offset| {
            let source = SourceId { topic: "orders.events".into(), partition: 0 };
            Checkpoint::from_sources([(source, SourceCheckpoint { next_offset, ..Default::default() })])
        };
        let at = RecordAt { topic: "orders.events".to_owned(), partition: 0, offset: 3, event_id: None };
        let mut next = Next::new("gen-000002".to_owned());
        next.end(Ended { why: "a gap".to_owned(), at: Some(at.clone()) });
        assert_eq!(next.passed_by(&reached(3)), None, "it comes to it next");
        assert_eq!(next.passed_by(&reached(4)).as_ref(), Some(&at));
        assert_eq!(next.passed_by(&reached(9)), None, "it was asked a moment ago");
        tokio::time::advance(BLAME_PAUSE).await;
        assert_eq!(next.passed_by(&reached(9)), Some(at));
        next.end(Ended { why: "a defect".to_owned(), at: None });
        assert_eq!(next.passed_by(&reached(9)), None);
    }

    #[tokio::test]
    async fn a_comparison_with_what_is_served_no_more_is_given_up_and_not_forgotten() {
        let mut next = Next::new("gen-000002".to_owned());
        let given_up = Stop::default();
        let at_work = Comparing { served: "gen-000001".to_owned(), given_up: given_up.clone() };
        next.stage = Stage::Comparing(at_work, tokio::spawn(std::future::pending()));
        next.hurry();
        assert!(given_up.requested());
        assert!(matches!(next.stage, Stage::Comparing(..)), "its candidate comes back open");
    }
}
