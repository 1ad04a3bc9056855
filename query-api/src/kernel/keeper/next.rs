//! The generation that is to be served next, and how far that is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event_log::process::Pause;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::candidate::{Candidate, Standing};
use super::compare::Compared;
use super::opener::OpenError;
use crate::kernel::status::NextStatus;

/// Pause before an opening that failed is tried again, doubled up to [`OPEN_PAUSE_MAX`] while something else is served.
const OPEN_PAUSE: Duration = Duration::from_millis(250);
const OPEN_PAUSE_MAX: Duration = Duration::from_secs(30);
/// An opening that took long is not repeated at once: it read the whole store.
const OPEN_PAUSE_PER_OPENING: u32 = 10;
/// So often it is opened afresh because something waits in it that is projected in what is served: an opening projects all that
/// this program can.
const TAKES_BACK_MAX: u32 = 3;

/// A published generation that is not served yet.
pub(super) struct Next {
    pub(super) name: String,
    pub(super) stage: Stage,
    /// Why it goes no further at present.
    pub(super) why: Option<String>,
    pause: Pause,
    tries: u32,
    /// How often something waited in it that is projected in what is served.
    takes_back: u32,
}

/// How far it is.
pub(super) enum Stage {
    /// It could not be opened or served at `failed_at`, and is to be opened from `due_at` on; at once if the two are one.
    Waiting { failed_at: Instant, due_at: Instant },
    /// Being opened since then, on a thread that may block.
    Opening(Instant, JoinHandle<Result<Candidate, OpenError>>),
    /// Open and followed.
    CatchingUp(Candidate),
    /// Being compared with what is served, on a thread that may block.
    Comparing(Comparing, JoinHandle<Result<Compared, Standing>>),
    /// Not to be served by this process.
    Refused,
    /// Not to be served by anybody.
    Withdrawn(Withdrawn),
}

/// A comparison, which ends once nobody waits for its result.
pub(super) struct Comparing {
    /// Name of the generation that is served.
    pub(super) served: String,
    pub(super) given_up: Arc<AtomicBool>,
}

impl Drop for Comparing {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}

/// Why a generation is not to be served by anybody, and which one is to be published again.
#[derive(Debug, Clone)]
pub(super) struct Withdrawn {
    pub(super) why: String,
    pub(super) served: String,
    /// Whether that has been done: who publishes the withdrawn one after that wants it anew.
    pub(super) is_put_back: bool,
}

impl Next {
    pub(super) fn new(name: String) -> Self {
        let (pause, now) = (Pause::new(OPEN_PAUSE, OPEN_PAUSE_MAX), Instant::now());
        let stage = Stage::Waiting { failed_at: now, due_at: now };
        Self { name, stage, why: None, pause, tries: 0, takes_back: 0 }
    }

    /// Whether it is to be opened now. While nothing is served, everybody waits for it, and no grown pause counts.
    pub(super) fn is_due(&self, is_something_served: bool) -> bool {
        let Stage::Waiting { failed_at, due_at } = self.stage else { return false };
        let due_at = if is_something_served { due_at } else { due_at.min(failed_at + OPEN_PAUSE) };
        due_at <= Instant::now()
    }

    /// What was served is so no more: nobody compares this one with it any longer, and what kept it from being opened or served
    /// is tried anew.
    pub(super) fn hurry(&mut self) {
        let now = Instant::now();
        match &self.stage {
            // It comes back as it is.
            Stage::Comparing(at_work, _) => at_work.given_up.store(true, Ordering::Relaxed),
            Stage::Waiting { .. } | Stage::Refused => {
                self.stage = Stage::Waiting { failed_at: now, due_at: now };
            }
            Stage::Opening(..) | Stage::CatchingUp(_) | Stage::Withdrawn(_) => {}
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
        let failed_at = Instant::now();
        self.stage = Stage::Waiting { failed_at, due_at: failed_at + pause };
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

    /// The candidate, to be judged; whoever takes it says what becomes of it.
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
    }

    /// What `/status` says of it; `behind_events` is what it has not projected and the served one has.
    pub(super) fn told(&self, behind_events: Option<u64>) -> NextStatus {
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

/// What has happened to it.
pub(super) enum Moved {
    /// It was opened, or could not be.
    Opened(Result<Candidate, OpenError>),
    /// It was compared with the generation of that name.
    Compared(String, Result<Compared, Standing>),
    /// It has projected more, or stopped.
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
            // An error: its follower is gone, and has told why.
            let _gone = candidate.progress.changed().await;
            Moved::Further
        }
        _ => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(next.told(None).state, "waiting");
        let mut next = Next::new("gen-000001".to_owned());
        next.open(tokio::spawn(std::future::pending()));
        tokio::time::advance(Duration::from_secs(2)).await;
        next.failed("the disk".to_owned());
        assert_eq!(waits(&next), Duration::from_secs(20));
    }

    #[tokio::test(start_paused = true)]
    async fn while_nothing_is_served_no_grown_pause_keeps_the_next_one_from_being_opened() {
        let mut next = Next::new("gen-000002".to_owned());
        (0..9).for_each(|_| next.failed("the disk".to_owned()));
        assert!(!next.is_due(false));
        tokio::time::advance(OPEN_PAUSE).await;
        assert!(next.is_due(false) && !next.is_due(true));
        next.failed("the disk".to_owned());
        next.hurry();
        assert!(next.is_due(true));
        next.refuse("the log has a gap".to_owned());
        next.hurry();
        assert!(next.is_due(true), "who reads on from it may be served all the same");
    }

    #[tokio::test]
    async fn a_comparison_with_what_is_served_no_more_is_given_up_and_not_forgotten() {
        let mut next = Next::new("gen-000002".to_owned());
        let given_up = Arc::new(AtomicBool::new(false));
        let at_work = Comparing { served: "gen-000001".to_owned(), given_up: given_up.clone() };
        next.stage = Stage::Comparing(at_work, tokio::spawn(std::future::pending()));
        next.hurry();
        assert!(given_up.load(Ordering::Relaxed));
        assert!(matches!(next.stage, Stage::Comparing(..)), "its candidate comes back open");
    }
}
