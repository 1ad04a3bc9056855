//! The keeper: the one task that opens generations, owns their follower, and changes which of them is served.
//!
//! A published generation is swapped in so that no answer goes back in time: it is opened and followed until it has
//! projected whatever the served one has; then the served one's follower is stopped, so that it moves no further, and
//! only when the new one has reached that very place requests are sent to it. Requests in between are answered from
//! the old generation, those that wait for a token go on waiting. If anything fails on the way, the old one is followed
//! again and stays.

mod candidate;
mod mend;
mod opener;

use std::sync::Arc;

use event_log::Kafka;
use projector::kernel::{Follower, Projection, ReadModel};
use schemas::event_data::EventData;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::api::Api;
use super::blocking::blocking;
use super::limits::{CURRENT_LOOK_INTERVAL, SWAP_TIMEOUT};
use super::serving::Serving;
use super::stop_signal::StopSignal;
use candidate::{Candidate, Refused};
use mend::Probed;
pub use opener::OpenError;
use opener::{Opener, stop};

/// What there was to serve at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A generation, which is served now.
    Served,
    /// None that this program reads.
    Nothing,
    /// One that cannot be read.
    Unreadable,
}

/// Owns what is served.
pub(super) struct Keeper<E: 'static> {
    api: Arc<Api>,
    read_model: ReadModel,
    opener: Opener<E>,
    follower: Option<Follower>,
    /// A generation that cannot be served, so that it is neither tried nor told again and again.
    refused: Option<Refused>,
    /// The disk, after a store has failed.
    probed: Probed,
}

impl<E: EventData + 'static> Keeper<E> {
    pub(super) fn new(
        api: Arc<Api>,
        kafka: Kafka,
        read_model: ReadModel,
        projection: Projection<E>,
        holder: String,
    ) -> Self {
        let opener = Opener { kafka, projection, holder };
        Self { api, read_model, opener, follower: None, refused: None, probed: Probed::default() }
    }

    /// Serves the published generation at once, while its follower catches up. One of another layout is about to be
    /// replaced, and one that was damaged, as a power cut may leave it: the log gives all of it again. With `replacing`, so is
    /// one that cannot be read for any other reason.
    pub(super) async fn serve_current(&mut self, replacing: bool) -> Result<Found, OpenError> {
        let name = match self.current().await {
            Ok(Some(name)) => name,
            Ok(None) => return Ok(Found::Nothing),
            Err(error) if error.is_gone() => {
                self.refuse(Refused { name: "CURRENT".to_owned(), again: true, reason: error.to_string() });
                return Ok(Found::Nothing);
            }
            Err(error) => return Err(error),
        };
        let error = match self.opener.open(&self.read_model, &name).await {
            Ok(candidate) => {
                self.serve(candidate);
                return Ok(Found::Served);
            }
            Err(error) => error,
        };
        let found = match () {
            () if error.is_foreign_layout() => Found::Nothing,
            () if error.is_damage() || (replacing && !error.is_in_use()) => Found::Unreadable,
            () => return Err(error),
        };
        self.refuse(Refused { name, again: false, reason: error.to_string() });
        Ok(found)
    }

    /// Looks for newly published generations until told to stop; then stops the follower.
    pub(super) async fn run(mut self, stopped: StopSignal) {
        let mut ticks = interval(CURRENT_LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.look(&stopped).await,
                () = stopped.requested() => break,
            }
        }
        if let Some(follower) = self.follower.take() {
            stop(follower).await;
        }
    }

    async fn look(&mut self, stopped: &StopSignal) {
        self.mend().await;
        match self.current().await {
            Ok(Some(name)) => self.consider(name, stopped).await,
            Ok(None) => {}
            Err(error) => {
                self.refuse(Refused { name: "CURRENT".to_owned(), again: true, reason: error.to_string() })
            }
        }
    }

    async fn consider(&mut self, name: String, stopped: &StopSignal) {
        if self.api.serving_now().is_some_and(|serving| serving.name == name) {
            self.forget_refused();
            return;
        }
        if self.refused.as_ref().is_some_and(|refused| refused.name == name) {
            return;
        }
        match self.opener.open(&self.read_model, &name).await {
            Ok(candidate) => self.swap(candidate, stopped).await,
            Err(error) => self.refuse(Refused { name, again: error.is_in_use(), reason: error.to_string() }),
        }
    }

    async fn swap(&mut self, candidate: Candidate, stopped: &StopSignal) {
        let served = self.api.serving_now();
        match self.catch_up(&candidate, served.as_deref(), stopped).await {
            Ok(()) => {
                self.serve(candidate);
            }
            Err(refused) => {
                stop(candidate.follower).await;
                self.follow_again(served);
                refused.into_iter().for_each(|refused| self.refuse(refused));
            }
        }
    }

    /// Brings the candidate to where the served generation is, and keeps that one from moving any further. Fails without
    /// a reason to tell when this process is stopping.
    async fn catch_up(
        &mut self,
        candidate: &Candidate,
        served: Option<&Serving>,
        stopped: &StopSignal,
    ) -> Result<(), Option<Refused>> {
        let Some(served) = served else { return Ok(()) };
        let reached = served.generation.checkpoint();
        tokio::select! {
            result = candidate.cover(&reached) => result?,
            newer = self.superseded(&candidate.name) => return Err(Some(candidate.refused(&newer))),
            () = stopped.requested() => return Err(None),
        }
        if let Some(follower) = self.follower.take() {
            stop(follower).await;
        }
        match timeout(SWAP_TIMEOUT, candidate.cover(&served.generation.checkpoint())).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(Some(Refused { again: true, ..candidate.refused("it did not catch up in time") })),
        }
    }

    /// Ends when `CURRENT` no longer names `name`.
    async fn superseded(&self, name: &str) -> String {
        loop {
            sleep(CURRENT_LOOK_INTERVAL).await;
            if let Ok(Some(newer)) = self.current().await
                && newer != name
            {
                return format!("{newer} was published meanwhile");
            }
        }
    }

    fn serve(&mut self, candidate: Candidate) {
        tracing::info!(generation = candidate.name, "serving");
        self.forget_refused();
        let Candidate { name, generation, follower } = candidate;
        let (progress, hold) = (follower.progress(), follower.holding());
        self.api.serve(name, generation, progress, hold, follower.repairing());
        self.follower = Some(follower);
    }

    /// After a swap that failed half-way: the served generation moves on.
    fn follow_again(&mut self, served: Option<Arc<Serving>>) {
        let Some(served) = served.filter(|_| self.follower.is_none()) else { return };
        match self.opener.follow(served.generation.clone()) {
            Ok(follower) => {
                let (name, generation) = (served.name.clone(), served.generation.clone());
                self.serve(Candidate { name, generation, follower });
            }
            Err(error) => tracing::error!("{} is served but no longer followed: {error}", served.name),
        }
    }

    fn refuse(&mut self, refused: Refused) {
        let told = format!("{} is published but not served: {}", refused.name, refused.reason);
        if self.api.refused.load().as_ref().as_ref() != Some(&told) {
            tracing::error!("{told}");
            self.api.refused.store(Arc::new(Some(told)));
        }
        self.refused = (!refused.again).then_some(refused);
    }

    fn forget_refused(&mut self) {
        self.refused = None;
        self.api.refused.store(Arc::default());
    }

    async fn current(&self) -> Result<Option<String>, OpenError> {
        let read_model = self.read_model.clone();
        Ok(blocking(move || read_model.current()).await??)
    }
}
