//! How a candidate takes over from what is served, without an answer that goes back in time.
//!
//! It is followed until it has projected whatever the served generation has, and compared with it ([`super::compare`]); then the
//! served one's follower is stopped, so that it moves no further, and only when the candidate has reached that very place
//! requests are sent to it. Requests in between are answered from the old generation, those that wait for a token keep
//! waiting. If anything fails on the way, the old one is followed again and stays. What nobody is to serve is withdrawn: what is
//! served is published again, so that no start serves the other one.

use std::sync::Arc;

use daybook_event::event_data::EventData;
use daybook_projection::is_where_it_was;
use daybook_service::Stop;
use tokio::time::{Instant, timeout};

use super::GenerationManager;
use super::candidate::stop;
use super::candidate::{Candidate, Served, Standing};
use super::compare::Compared;
use super::next::{Comparing, Next, Stage, Withdrawn};
use crate::limits::SWAP_TIMEOUT;
use crate::serving::Serving;
use tokio::task::spawn_blocking;

impl<E: EventData + 'static> GenerationManager<E> {
    /// Serves the candidate, if there is one and it has got as far as what is served.
    pub(super) async fn judge(&mut self, stopped: &Stop) {
        let Some(candidate) = self.next.as_mut().and_then(Next::take_candidate) else { return };
        let Some(served) = self.api.serving_now() else { return self.serve(candidate) };
        match (candidate.standing(&Served::of(&served)), candidate.compare_at) {
            (Standing::CaughtUp, Some(at)) if at <= Instant::now() => self.compare(candidate, served),
            (Standing::CaughtUp, Some(_)) => self.keep(candidate),
            (Standing::CaughtUp, None) => {
                self.swap(candidate, &served, stopped).await;
                // Closing a store may wait for its disk.
                drop(spawn_blocking(move || drop(served)));
            }
            (standing, _) => self.leave(candidate, standing, &served.name).await,
        }
    }

    fn keep(&mut self, candidate: Candidate) {
        let Some(next) = &mut self.next else { return };
        next.stage = Stage::CatchingUp(candidate);
    }

    /// Nobody stands still for it but the candidate.
    fn compare(&mut self, candidate: Candidate, served: Arc<Serving>) {
        let Some(next) = &mut self.next else { return };
        let (opener, given_up) = (self.opener.clone(), Stop::default());
        let at_work = Comparing { served: served.name.clone(), given_up: given_up.clone() };
        let comparing = move || opener.compare(candidate, &served, &given_up);
        next.stage = Stage::Comparing(at_work, spawn_blocking(comparing));
    }

    /// The comparison with `served` has ended.
    pub(super) async fn compared(&mut self, served: &str, compared: Result<Compared, Standing>) {
        match (compared, &mut self.next) {
            (Ok(Compared { candidate, again: None }), Some(next)) => next.catch_up(candidate),
            (Ok(Compared { candidate, again: Some(why) }), Some(next)) => next.wait(candidate, why),
            (Ok(Compared { candidate, .. }), None) => stop(candidate.follower).await,
            (Err(standing), _) => self.let_go(standing, served).await,
        }
    }

    /// Keeps the served generation from moving, until the candidate is where that one is.
    async fn swap(&mut self, candidate: Candidate, served: &Arc<Serving>, stopped: &Stop) {
        if let Some(follower) = self.follower.take() {
            stop(follower).await;
        }
        let reached = Served::of(served);
        let standing = tokio::select! {
            settled = timeout(SWAP_TIMEOUT, candidate.settled(&reached)) => settled.unwrap_or(Standing::Behind),
            () = stopped.cancelled() => Standing::Behind,
        };
        let standing = match standing {
            Standing::CaughtUp => match self.takes_back(&candidate, served) {
                None => return self.serve(candidate),
                Some(standing) => standing,
            },
            Standing::Behind => Standing::Again("it did not catch up in time with what is served".to_owned()),
            standing => standing,
        };
        self.leave(candidate, standing, &served.name).await;
        self.follow_again();
    }

    /// Why a candidate must not take over although it has got as far: it would take back what was shown, and nobody has accepted
    /// that. The served one no longer moves.
    fn takes_back(&mut self, candidate: &Candidate, served: &Serving) -> Option<Standing> {
        let (new, old) = (candidate.generation.last_moment(), served.generation.last_moment());
        let key = new.quarantine.covers(&old.quarantine, &old.checkpoint).err()?;
        let why = format!("events of key {key} wait in it, and have been projected in {}", served.name);
        if candidate.is_accepted {
            return None;
        }
        // Released or left out there meanwhile: the next opening does the same.
        match self.next.as_mut().is_some_and(Next::may_cease_to_take_back) {
            true => Some(Standing::Again(why)),
            false => Some(Standing::Rejected(why)),
        }
    }

    /// The candidate is not served now, but still `served`.
    async fn leave(&mut self, candidate: Candidate, standing: Standing, served: &str) {
        let Some(next) = &mut self.next else { return };
        match standing {
            Standing::CaughtUp | Standing::Behind => next.catch_up(candidate),
            Standing::Waits(why) => next.wait(candidate, why),
            standing => {
                self.let_go(standing, served).await;
                stop(candidate.follower).await;
            }
        }
    }

    /// The candidate is closed, or about to be.
    async fn let_go(&mut self, standing: Standing, served: &str) {
        let Some(next) = &mut self.next else { return };
        match standing {
            Standing::Ended(ended) => next.end(ended),
            Standing::Rejected(why) => {
                self.withdraw(Withdrawn { why, served: served.to_owned(), is_put_back: false }).await
            }
            Standing::Again(why) | Standing::Waits(why) => next.failed(why),
            Standing::CaughtUp | Standing::Behind => {
                next.failed("it was closed before it was served".to_owned())
            }
        }
    }

    /// Withdraws a candidate that a record stopped, if what is served is past that record and the log is as that one has read it: then
    /// the candidate is at fault. A start would serve it otherwise, and stop there.
    pub(super) async fn blame(&mut self) {
        let Some(served) = self.api.serving_now() else { return };
        let reached = Served::of(&served);
        let passed = |next: &mut Next| next.passed_by(&reached.reached);
        let Some(at) = self.next.as_mut().filter(|_| !reached.is_stopped).and_then(passed) else { return };
        let (kafka, checkpoint) = (self.opener.kafka.clone(), reached.reached.clone());
        let projected = self.opener.projection.topics;
        let (topic, partition) = (at.topic.clone(), at.partition);
        match spawn_blocking(move || is_where_it_was(&kafka, projected, &checkpoint, &topic, partition)).await
        {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return,
            Ok(Err(error)) => return tracing::warn!("who is right about {at} is not known yet: {error}"),
            Err(error) => return tracing::error!("who is right about {at} was not found out: {error}"),
        }
        let served = served.name.clone();
        let why = self.next.as_ref().and_then(|next| next.why.clone()).unwrap_or_default();
        let why = format!("{why}. But {served} is past that record, and the log is as it was read there");
        self.withdraw(Withdrawn { why, served, is_put_back: false }).await;
    }

    /// Publishes what is served again in place of what is to be served next. Tried again at each tick, if that fails.
    pub(super) async fn withdraw(&mut self, mut withdrawn: Withdrawn) {
        let Some(next) = &mut self.next else { return };
        let (read_model, name) = (self.read_model.clone(), next.name.clone());
        let Withdrawn { why, served, .. } = withdrawn.clone();
        let failed = match spawn_blocking(move || read_model.withdraw(&name, &served, &why)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        withdrawn.is_put_back = failed.is_none();
        let Withdrawn { why, served, .. } = &withdrawn;
        next.why = Some(match failed {
            None => format!("{why}. {served} is published again in its place"),
            Some(error) => format!("{why}. {served} cannot be published again in its place: {error}"),
        });
        next.stage = Stage::Withdrawn(withdrawn);
    }
}
