//! How many requests are at work at once, and how many wait. Whoever waits, for a body or for something to happen, takes no
//! place of those who work: else a few thousand that wait for what never comes would shut all others out.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Busy {
    #[error("too many requests are being worked on; try again later")]
    AtWork,
    #[error("too many requests wait for what has not come yet; try again later")]
    Waiting,
}

#[derive(Debug)]
pub(crate) struct Places {
    at_work: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    waiting_max: usize,
}

impl Places {
    /// Half as many may wait as may be at work.
    pub(crate) fn new(requests_max: usize) -> Self {
        let waiting_max = requests_max.div_ceil(2);
        let places = |count| Arc::new(Semaphore::new(count));
        Self { at_work: places(requests_max), waiting: places(waiting_max), waiting_max }
    }

    /// A place among those at work, for as long as what is returned lives.
    pub(crate) fn work(&self) -> Result<OwnedSemaphorePermit, Busy> {
        Arc::clone(&self.at_work).try_acquire_owned().map_err(|_| Busy::AtWork)
    }

    /// The same among those who wait.
    pub(crate) fn wait(&self) -> Result<OwnedSemaphorePermit, Busy> {
        Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| Busy::Waiting)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting_max - self.waiting.available_permits()
    }
}
