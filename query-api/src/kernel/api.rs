//! What all requests share: the generation that is served, and the bounds.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use event_log::sabotage::{self, Fault};
use projector::kernel::follower::{Hold, Repairs};
use projector::kernel::{Generation, Layout, Progress, ReadModel};
use schemas::headers;
use schemas::token::Token;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use super::asked::After;
use super::first_catch_up::FirstCatchUp;
use super::guard::Counted;
use super::heavy::Heavy;
use super::limits::{REQUEST_TIMEOUT, REQUESTS_MAX, WAITING_MAX};
use super::positions;
use super::rebuild::Rebuild;
use super::refusal::Refusal;
use super::request_metrics::RequestMetrics;
use super::serving::Serving;

/// Shared by all requests and by the keeper, who alone changes what is served.
pub struct Api {
    serving: ArcSwapOption<Serving>,
    swaps: watch::Sender<u64>,
    wait_max: Duration,
    catch_up_max: Duration,
    first_catch_up: ArcSwap<FirstCatchUp>,
    /// Layout of the generations that this program reads.
    pub(super) layout: String,
    /// Where the generations are.
    pub(super) read_model: ReadModel,
    /// Permits of requests at work.
    pub(super) requests: Semaphore,
    /// Permits of those among them that wait for a token.
    waiting: Semaphore,
    pub(super) request_metrics: RequestMetrics,
    heavy: Arc<Heavy>,
    /// The rebuild that is at work, if any.
    pub(super) rebuild: ArcSwapOption<Rebuild>,
    /// Why a generation that is to be built is not yet.
    pub(super) build_trouble: ArcSwap<Option<String>>,
    /// Why the published generation is not the one that is served.
    pub(super) refused: ArcSwap<Option<String>>,
}

impl Api {
    /// Serves nothing yet. `wait_max` bounds `Daybook-Wait-Ms`, `catch_up_max` how long queries are kept from what is behind
    /// the log at the start.
    #[must_use]
    pub fn new(read_model: ReadModel, layout: &Layout, wait_max: Duration, catch_up_max: Duration) -> Self {
        let request_metrics = RequestMetrics::default();
        Self {
            read_model,
            layout: layout.to_string(),
            serving: ArcSwapOption::empty(),
            swaps: watch::Sender::new(0),
            wait_max,
            catch_up_max,
            first_catch_up: ArcSwap::from_pointee(FirstCatchUp::begin(catch_up_max)),
            requests: Semaphore::new(REQUESTS_MAX),
            waiting: Semaphore::new(WAITING_MAX),
            heavy: Arc::new(Heavy::new(&request_metrics)),
            request_metrics,
            rebuild: ArcSwapOption::empty(),
            build_trouble: ArcSwap::default(),
            refused: ArcSwap::default(),
        }
    }

    /// What is served now.
    ///
    /// # Errors
    /// 503 while the first generation is being built, or one is being opened afresh.
    pub fn serving(&self) -> Result<Arc<Serving>, Refusal> {
        self.serving.load_full().ok_or_else(|| self.building())
    }

    /// What is served now, if anything.
    #[must_use]
    pub fn serving_now(&self) -> Option<Arc<Serving>> {
        self.serving.load_full()
    }

    /// What is served, once it holds what the request asks for.
    ///
    /// # Errors
    /// 400 for a token of something that is not projected; 503 past the deadline, with the positions reached, and if too many
    /// wait already.
    pub async fn serving_after(&self, after: &After) -> Result<Arc<Serving>, Refusal> {
        let serving = self.serving()?;
        if !self.first_catch_up.load().is_over() {
            let catch_up = self.first_catch_up.load_full();
            catch_up.pass(&serving, after.wait.min(self.wait_max)).await?;
        }
        let Some(token) = &after.token else { return Ok(serving) };
        let (checkpoint, quarantine) = serving.generation.checkpoint_and_quarantine();
        positions::check_known(&checkpoint, token, headers::AFTER)?;
        if positions::reached(&checkpoint, &quarantine, token) || sabotage::strikes(Fault::StaleRead) {
            return Ok(serving);
        }
        self.wait(token, after.wait.min(self.wait_max)).await
    }

    /// Serves another generation from now on. Only the keeper calls it, and only with one that is not behind.
    pub(super) fn serve(
        &self,
        name: String,
        generation: Arc<Generation>,
        progress: watch::Receiver<Arc<Progress>>,
        hold: Hold,
        repairs: Repairs,
    ) {
        let number = *self.swaps.borrow() + 1;
        let heavy = self.heavy.clone();
        let serving = Serving { number, name, generation, progress, hold, repairs, heavy };
        self.serving.store(Some(Arc::new(serving)));
        self.swaps.send_replace(number);
    }

    /// Serves nothing until the next [`Api::serve`], so that the generation can be opened afresh. Only the keeper calls it.
    pub(super) fn serve_nothing(&self) {
        self.serving.store(None);
        self.first_catch_up.store(Arc::new(FirstCatchUp::begin(self.catch_up_max)));
        self.swaps.send_modify(|number| *number += 1);
    }

    /// Longest time from a request to its answer.
    pub(super) fn request_timeout(&self) -> Duration {
        self.wait_max + REQUEST_TIMEOUT
    }

    async fn wait(&self, token: &Token, wait: Duration) -> Result<Arc<Serving>, Refusal> {
        let _permit = self.waiting.try_acquire().map_err(|_| Refusal::too_many_waiting())?;
        let _waiting = Counted::new(&self.request_metrics.waiting);
        let deadline = Instant::now() + wait;
        // Subscribed before the first look, so that no swap is missed.
        let mut swaps = self.swaps.subscribe();
        loop {
            let serving = self.serving()?;
            tokio::select! {
                biased;
                () = serving.reached(token) => return Ok(serving),
                _ = swaps.changed() => {}
                () = sleep_until(deadline) => return Err(self.not_reached(&serving, token, wait)),
            }
        }
    }

    fn not_reached(&self, serving: &Serving, token: &Token, wait: Duration) -> Refusal {
        self.request_metrics.not_reached.inc();
        if let Some((at, key)) = positions::waiting(&serving.generation.quarantine(), token) {
            return Refusal::quarantined(at, key);
        }
        let current = positions::current(&serving.generation.checkpoint(), token).to_string();
        let waited_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let detail = format!(
            "{token} was not projected within {waited_ms} ms; come again after Retry-After, or without {} for an \
             older answer",
            headers::AFTER
        );
        let problem = schemas::problem::Problem::new(503, "not-projected-yet", "Not projected yet", detail);
        problem.with("asked", token.to_string()).with("current", current).with("waited_ms", waited_ms).into()
    }

    fn building(&self) -> Refusal {
        if *self.swaps.borrow() > 0 {
            let detail =
                "the read model is being opened afresh after its disk took no more writes; try again";
            return Refusal::not_yet("reopening", "The read model is being opened again", detail);
        }
        let title = "The read model is being built";
        let detail = "the first generation of the read model is still being built from the log; no answer would be \
                      complete before that";
        let problem = schemas::problem::Problem::new(503, "building", title, detail);
        match self.rebuild.load_full() {
            Some(rebuild) => problem.with("done", rebuild.done).with("total", rebuild.total).into(),
            None => problem.into(),
        }
    }
}
