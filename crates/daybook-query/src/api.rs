//! What all requests share: the generation that is served, and the bounds.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use daybook_event::headers;
use daybook_event::token::Token;
use daybook_projection::follower::Repairs;
use daybook_projection::{Generation, Layout, Progress, ReadModel};
use daybook_service::fires;
use daybook_service::http::problem_types::{BUILDING, CATCHING_UP, NOT_REACHED_YET, OPENING};
use daybook_service::http::{After, ApiError, Counted};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use super::errors::{quarantined, too_many_waiting};
use super::first_catch_up::FirstCatchUp;
use super::heavy::Heavy;
use super::limits::{REQUEST_TIMEOUT, WAIT_DEFAULT, WAITING_MAX};
use super::measuring::Measured;
use super::metrics::QueryMetrics;
use super::serving as positions;
use super::serving::Serving;
use super::status::NextStatus;
use super::status::Rebuild;

/// Shared by all requests and by the generation manager, which alone changes what is served.
pub struct Api {
    serving: ArcSwapOption<Serving>,
    swaps: watch::Sender<u64>,
    wait_max: Duration,
    catch_up_max: Duration,
    pub(super) layout: String,
    pub(super) read_model: ReadModel,
    /// Permits of requests that wait for a token.
    waiting: Semaphore,
    pub(super) metrics: QueryMetrics,
    heavy: Arc<Heavy>,
    pub(super) rebuild: ArcSwapOption<Rebuild>,
    /// Why a generation that is to be built is not yet.
    pub(super) build_trouble: ArcSwap<Option<String>>,
    pub(super) refused: ArcSwap<Option<String>>,
    /// The published generation, if it is not the one that is served.
    pub(super) next: ArcSwap<Option<NextStatus>>,
    /// Counts builds that have come to their end, whatever it was.
    pub(super) builds_ended: AtomicU64,
    /// What the disk says, as far as it has been asked.
    pub(super) measured: ArcSwap<Measured>,
    /// Why nothing is served, while that is so.
    pub(super) absent: ArcSwap<Absent>,
    /// What is wrong, while the directory of the read model is not there or is another one.
    pub(super) directory_gone: ArcSwap<Option<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    /// What is published is being opened, or is tried again.
    Opening,
    /// There is nothing that this program can serve before it is built.
    Building,
}

impl Absent {
    pub(super) fn state(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Building => "building",
        }
    }
}

impl Api {
    /// Serves nothing yet. `wait_max` bounds `Daybook-Wait-Ms`, `catch_up_max` how long queries are kept from what is behind
    /// the log after an opening while it gets no further.
    pub fn new(read_model: ReadModel, layout: &Layout, wait_max: Duration, catch_up_max: Duration) -> Self {
        let metrics = QueryMetrics::default();
        Self {
            read_model,
            layout: layout.to_string(),
            serving: ArcSwapOption::empty(),
            swaps: watch::Sender::new(0),
            wait_max,
            catch_up_max,
            waiting: Semaphore::new(WAITING_MAX),
            heavy: Arc::new(Heavy::new(&metrics)),
            metrics,
            rebuild: ArcSwapOption::empty(),
            build_trouble: ArcSwap::default(),
            refused: ArcSwap::default(),
            next: ArcSwap::default(),
            builds_ended: AtomicU64::new(0),
            measured: ArcSwap::default(),
            absent: ArcSwap::from_pointee(Absent::Opening),
            directory_gone: ArcSwap::default(),
        }
    }

    /// What is served now.
    /// Errors: 503 while the first generation is being built, or one is being opened afresh.
    pub fn serving(&self) -> Result<Arc<Serving>, ApiError> {
        self.serving.load_full().ok_or_else(|| self.nothing_served())
    }

    /// What is served now, if anything.
    pub fn serving_now(&self) -> Option<Arc<Serving>> {
        self.serving.load_full()
    }

    /// What is served, once it holds what the request asks for.
    /// Errors: 400 for a token of something that is not projected; 503 past the deadline, with the positions reached, and if
    /// too many wait already.
    pub async fn serving_after(&self, after: &After) -> Result<Arc<Serving>, ApiError> {
        let wait = after.wait.unwrap_or(WAIT_DEFAULT).min(self.wait_max);
        // One for both waits: the request's own time bounds them together.
        let deadline = Instant::now() + wait;
        let serving = self.caught_up(deadline).await?;
        let Some(token) = &after.token else { return Ok(serving) };
        // Rows may be newer; what the answer is as of is taken when it is read.
        let moment = serving.generation.last_moment();
        positions::check_known(&moment.checkpoint, token, headers::AFTER)?;
        if positions::reached(&moment.checkpoint, &moment.quarantine, token) || fires("stale-read") {
            return Ok(serving);
        }
        self.wait(token, deadline, wait).await
    }

    /// What is served, once it is not behind what was served before it was opened.
    async fn caught_up(&self, deadline: Instant) -> Result<Arc<Serving>, ApiError> {
        let serving = self.serving()?;
        if serving.first_catch_up.is_decided() {
            return Ok(serving);
        }
        // Subscribed before the first check, so that no swap is missed.
        let mut swaps = self.swaps.subscribe();
        loop {
            let serving = self.serving()?;
            tokio::select! {
                biased;
                () = serving.first_catch_up.decided() => return Ok(serving),
                _ = swaps.changed() => {}
                () = sleep_until(deadline) => return Err(catching_up(&serving)),
            }
        }
    }

    /// Serves another generation from now on. Only the generation manager calls it, and only with one that is not behind.
    pub(super) fn serve(
        &self,
        name: String,
        generation: Arc<Generation>,
        progress: watch::Receiver<Arc<Progress>>,
        repairs: Repairs,
    ) {
        let number = *self.swaps.borrow() + 1;
        let first_catch_up = match self.serving_now() {
            Some(before) => before.first_catch_up.resume(progress.clone(), self.catch_up_max),
            None => FirstCatchUp::begin(progress.clone(), self.catch_up_max),
        };
        let heavy = self.heavy.clone();
        let serving = Serving { number, name, generation, progress, first_catch_up, repairs, heavy };
        self.serving.store(Some(Arc::new(serving)));
        self.swaps.send_replace(number);
    }

    /// Serves nothing until the next [`Api::serve`], so that the generation can be opened afresh. Only the generation manager calls it.
    pub(super) fn serve_nothing(&self) {
        self.absent.store(Arc::new(Absent::Opening));
        self.serving.store(None);
        self.swaps.send_modify(|number| *number += 1);
    }

    /// Changes whenever something else is served.
    pub(super) fn swaps(&self) -> watch::Receiver<u64> {
        self.swaps.subscribe()
    }

    /// Whether nothing is served, and what is published is being opened, or is tried again.
    pub(super) fn is_opening(&self) -> bool {
        self.serving_now().is_none() && **self.absent.load() == Absent::Opening
    }

    /// Whether nothing is served, and nothing will be before it is built.
    pub(super) fn has_nothing_to_serve(&self) -> bool {
        self.serving_now().is_none() && **self.absent.load() == Absent::Building
    }

    /// Longest time from a request to its answer.
    pub(super) fn request_timeout(&self) -> Duration {
        self.wait_max + REQUEST_TIMEOUT
    }

    async fn wait(&self, token: &Token, deadline: Instant, wait: Duration) -> Result<Arc<Serving>, ApiError> {
        let _permit = self.waiting.try_acquire().map_err(|_| too_many_waiting())?;
        let _waiting = Counted::new(&self.metrics.waiting);
        let mut swaps = self.swaps.subscribe();
        loop {
            let serving = self.serving()?;
            let reached = async {
                serving.first_catch_up.decided().await;
                serving.reached(token).await;
            };
            tokio::select! {
                biased;
                () = reached => return Ok(serving),
                _ = swaps.changed() => {}
                () = sleep_until(deadline) => return Err(self.not_reached(&serving, token, wait)),
            }
        }
    }

    fn not_reached(&self, serving: &Serving, token: &Token, wait: Duration) -> ApiError {
        self.metrics.not_reached.inc();
        let moment = serving.generation.last_moment();
        if let Some((at, key)) = positions::waiting(&moment.quarantine, token) {
            return quarantined(at, key);
        }
        let current = positions::current(&moment.checkpoint, token).to_string();
        let waited_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let away = positions::away(&serving.progress.borrow(), token);
        let because =
            away.map(|at| format!(", because no broker answers for {at} at present")).unwrap_or_default();
        let detail = format!(
            "{token} was not projected within {waited_ms} ms{because}; come again after Retry-After, or without {} for an \
             older answer",
            headers::AFTER
        );
        let error = ApiError::new(&NOT_REACHED_YET, detail);
        error.with("asked", token.to_string()).with("current", current).with("waited_ms", waited_ms)
    }

    fn nothing_served(&self) -> ApiError {
        match **self.absent.load() {
            Absent::Opening => opening(),
            Absent::Building => self.building(),
        }
    }

    fn building(&self) -> ApiError {
        let detail = "the read model is being built from the log; no answer would be complete before that";
        let error = ApiError::new(&BUILDING, detail);
        match self.rebuild.load_full() {
            Some(rebuild) => error.with("done", rebuild.done).with("total", rebuild.total),
            None => error,
        }
    }
}

/// Why it cannot be opened is for the log and `/status`: it names files, processes and commands.
fn opening() -> ApiError {
    let detail = "the read model is being opened, or cannot be opened yet and is tried again; come again after Retry-After";
    ApiError::new(&OPENING, detail)
}

fn catching_up(serving: &Serving) -> ApiError {
    let detail = "the read model has just been opened and is not yet where it may have been when its process ended; come again \
                  after Retry-After";
    let error = ApiError::new(&CATCHING_UP, detail);
    match serving.progress.borrow().lag_total() {
        Some(lag) => error.with("lag_total", lag),
        None => error,
    }
}
