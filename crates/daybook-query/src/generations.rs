//! The generation manager: the one task that opens generations, owns their follower, and changes which of them is served.
//!
//! It goes in steps, none of which waits for long, so that it can always attend to what is served and learn what has been
//! published. A published generation is opened and followed until it has projected whatever the served one has; then it is
//! swapped in ([`swap`]), so that no answer goes back in time. What fails on the way is tried again with a growing pause,
//! unless nothing but another generation helps. Whatever lasts is reported in `/status`.

mod candidate;
mod compare;
mod next;
mod store_recovery;
mod swap;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use daybook_event::event_data::EventData;
use daybook_kafka::Kafka;
use daybook_projection::{Follower, Projection, ReadModel, State};
use daybook_service::Stop;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::api::{Absent, Api};
use super::builder::BuildRequest;
use super::limits::CURRENT_POLL_INTERVAL;
use super::status::NextStatus;
use candidate::Candidate;
use candidate::{OpenError, Opener, stop};
use next::{Moved, Next, Stage, Withdrawn};
use store_recovery::{StoreRecovery, is_failed_write, probe};
use tokio::task::spawn_blocking;

struct Reopened {
    name: String,
    /// What was published then, and not about to be served.
    instead_of: String,
}

pub(super) struct GenerationManager<E: 'static> {
    api: Arc<Api>,
    read_model: ReadModel,
    opener: Arc<Opener<E>>,
    /// Of what is served; none for a moment after a swap that failed.
    follower: Option<Follower>,
    next: Option<Next>,
    /// What was let go of, to be opened before what was published then; what is published later takes its place.
    reopened: Option<Reopened>,
    recovery: StoreRecovery,
    /// Asks for a generation where there is none that can be served.
    builds: mpsc::Sender<BuildRequest>,
    /// What was asked for last, and how many builds had ended before: it is asked for once, unless that build has ended and there
    /// is still nothing to serve.
    build_requested: Option<(BuildRequest, u64)>,
}

impl<E: EventData + 'static> GenerationManager<E> {
    pub(super) fn new(
        api: Arc<Api>,
        kafka: Kafka,
        read_model: ReadModel,
        projection: Projection<E>,
        holder: String,
        builds: mpsc::Sender<BuildRequest>,
    ) -> Self {
        let opener = Arc::new(Opener { kafka, projection, holder });
        let (follower, next, reopened, build_requested) = (None, None, None, None);
        let recovery = StoreRecovery::default();
        Self { api, read_model, opener, follower, next, reopened, recovery, builds, build_requested }
    }

    pub(super) async fn run(mut self, stopped: Stop) {
        let mut ticks = interval(CURRENT_POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.tick().await,
                moved = next::moved(&mut self.next) => match moved {
                    Moved::Opened(opened) => self.opened(opened).await,
                    Moved::Compared(served, compared) => self.compared(&served, compared).await,
                    Moved::Further => {}
                },
                () = stopped.cancelled() => break,
            }
            self.judge(&stopped).await;
            self.report();
        }
        if let Some(follower) = self.follower.take() {
            stop(follower).await;
        }
        self.forget_next().await;
    }

    /// Attends to what is served, and to what is published.
    async fn tick(&mut self) {
        self.recover_store().await;
        self.follow_again();
        let (read_model, put_back) = (self.read_model.clone(), self.next.as_ref().and_then(Next::put_back));
        let found = spawn_blocking(move || {
            let is_withdrawn = put_back.is_none_or(|name| read_model.is_withdrawn(&name));
            (read_model.current(), is_withdrawn)
        });
        let current = match found.await {
            // It was removed, or its note: nothing is left to be reported.
            Ok((current, false)) => {
                self.forget_next().await;
                Ok(current)
            }
            Ok((current, true)) => Ok(current),
            Err(error) => Err(OpenError::from(error)),
        };
        let is_same = |reopened: &Reopened| match &current {
            Ok(Ok(Some(published))) => [&reopened.name, &reopened.instead_of].contains(&published),
            _ => true,
        };
        self.reopened = self.reopened.take().filter(is_same);
        if let Some(Reopened { name, .. }) = &self.reopened {
            return self.consider(name.clone()).await;
        }
        match current {
            Ok(Ok(Some(name))) => self.consider(name).await,
            Ok(Ok(None)) => self.request_build(BuildRequest::default()),
            Ok(Err(error)) => {
                let is_gone = error.is_gone();
                self.next_is("CURRENT").await.refuse(error.to_string());
                if is_gone {
                    self.request_build(BuildRequest::default());
                }
            }
            Err(error) => self.next_is("CURRENT").await.refuse(error.to_string()),
        }
    }

    async fn consider(&mut self, name: String) {
        match self.next.as_ref().and_then(Next::withdrawn) {
            // As it should be; the reason is still reported.
            Some((_, Withdrawn { served, .. })) if *served == name && self.serves(&name) => return,
            // It was published once more, maybe after another build.
            Some((refused, Withdrawn { is_put_back: true, .. })) if refused == name => {
                self.forget_next().await;
            }
            Some((refused, withdrawn)) if refused == name => {
                let withdrawn = withdrawn.clone();
                return self.withdraw(withdrawn).await;
            }
            _ => {}
        }
        if self.serves(&name) {
            return self.forget_next().await;
        }
        let (opener, read_model) = (self.opener.clone(), self.read_model.clone());
        let is_something_served = self.api.serving_now().is_some();
        let next = self.next_is(&name).await;
        if next.is_due(is_something_served) {
            next.open(spawn_blocking(move || opener.open(&read_model, &name)));
        }
        self.blame().await;
        self.request_another();
    }

    fn serves(&self, name: &str) -> bool {
        self.api.serving_now().is_some_and(|serving| serving.name == name)
    }

    async fn next_is(&mut self, name: &str) -> &mut Next {
        if self.next.as_ref().is_some_and(|next| next.name != name) {
            self.forget_next().await;
        }
        self.next.get_or_insert_with(|| Next::new(name.to_owned()))
    }

    /// One that is being opened closes itself when it is open.
    async fn forget_next(&mut self) {
        if let Some(Next { stage: Stage::CatchingUp(candidate), .. }) = self.next.take() {
            stop(candidate.follower).await;
        }
    }

    async fn opened(&mut self, opened: Result<Candidate, OpenError>) {
        let Some(next) = &mut self.next else { return };
        let error = match opened {
            Ok(candidate) => return next.catch_up(candidate),
            Err(error) => error,
        };
        if !error.is_lasting() {
            return next.failed(error.report());
        }
        if self.reopened.take().is_some() {
            tracing::error!("what was served cannot be opened any more: {error}");
            return self.forget_next().await;
        }
        match self.api.serving_now() {
            // A start would find nothing to serve, although this one is whole.
            Some(served) if error.is_damage() => {
                let (why, served) = (error.to_string(), served.name.clone());
                self.withdraw(Withdrawn { why, served, is_put_back: false }).await;
            }
            _ => {
                next.refuse(error.to_string());
                self.request_another();
            }
        }
    }

    fn request_another(&mut self) {
        let refused = self.next.as_ref().filter(|next| matches!(next.stage, Stage::Refused));
        if let Some(name) = refused.map(|next| next.name.clone()) {
            self.request_build(BuildRequest { replaces: Some(name), ..BuildRequest::default() });
        }
    }

    /// Asks for a generation, if nothing is served.
    fn request_build(&mut self, request: BuildRequest) {
        let ended = self.api.builds_ended.load(Ordering::SeqCst);
        let is_requested = self
            .build_requested
            .as_ref()
            .is_some_and(|(requested, before)| *requested == request && *before == ended);
        if self.api.serving_now().is_some() || is_requested {
            return;
        }
        // Before the builder can fail: it then ends the process, since there is nothing else to serve.
        self.api.absent.store(Arc::new(Absent::Building));
        if self.builds.try_send(request.clone()).is_ok() {
            self.build_requested = Some((request, ended));
        }
    }

    fn serve(&mut self, candidate: Candidate) {
        tracing::info!(generation = candidate.name, "serving");
        (self.next, self.build_requested, self.reopened) = (None, None, None);
        let Candidate { name, generation, follower, progress, .. } = candidate;
        self.api.serve(name, generation, progress, follower.repairing());
        self.follower = Some(follower);
    }

    /// The served generation moves on, after a swap that failed half-way.
    fn follow_again(&mut self) {
        let Some(served) = self.api.serving_now().filter(|_| self.follower.is_none()) else { return };
        match self.opener.follow(served.name.clone(), served.generation.clone()) {
            Ok(Candidate { name, generation, follower, progress, .. }) => {
                self.api.serve(name, generation, progress, follower.repairing());
                self.follower = Some(follower);
            }
            Err(error) => tracing::error!("{} is served and not followed at present: {error}", served.name),
        }
    }

    /// Lets go of a generation whose disk refused a write, if the disk takes writes again, and of one that took part of a batch
    /// and answers nothing any more; the next tick opens it, or finds it damaged.
    async fn recover_store(&mut self) {
        let Some(serving) = self.api.serving_now() else { return };
        let state = serving.progress.borrow().state.clone();
        let is_torn = matches!(state, State::Stopped(_)) && serving.generation.is_torn();
        let reached = serving.generation.checkpoint();
        if !(is_torn || is_failed_write(&state)) || !self.recovery.is_due(&reached) {
            return;
        }
        let (path, name) = (serving.generation.path().to_owned(), serving.name.clone());
        drop(serving);
        // What is wrong stands in the projection's state already.
        if !matches!(spawn_blocking(move || probe(&path)).await, Ok(Ok(()))) {
            return;
        }
        tracing::info!("the disk takes writes; the read model is opened again");
        self.recovery.reopened(reached);
        self.api.serve_nothing();
        match &mut self.next {
            Some(next) if next.is_on_its_way() => next.hurry(),
            // What is published is not served, and nobody is to wait for that.
            next => {
                let instead_of = next.as_ref().map_or_else(|| name.clone(), |next| next.name.clone());
                self.forget_next().await;
                self.reopened = Some(Reopened { name, instead_of });
            }
        }
        if let Some(follower) = self.follower.take() {
            stop(follower).await;
        }
    }

    fn report(&self) {
        let served = self.api.serving_now();
        let behind = |next: &Next| {
            let (served, candidate) = (served.as_ref()?, next.candidate()?);
            Some(candidate.generation.checkpoint().behind(&served.generation.checkpoint()))
        };
        let next = self.next.as_ref().map(|next| next.report(behind(next)));
        if served.is_none() {
            let opening = next.as_ref().is_some_and(|next| next.state != NextStatus::REFUSED);
            let absent =
                if self.build_requested.is_some() && !opening { Absent::Building } else { Absent::Opening };
            self.api.absent.store(Arc::new(absent));
        }
        let refused = next.as_ref().and_then(NextStatus::refused);
        if self.api.refused.load().as_ref() != &refused {
            refused.iter().for_each(|why| tracing::error!("{why}"));
            self.api.refused.store(Arc::new(refused));
        }
        if self.api.next.load().as_ref() != &next {
            self.api.next.store(Arc::new(next));
        }
    }
}
