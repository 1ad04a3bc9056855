//! What may be shown: a read waits until what it may have seen is on disk.
//!
//! A batch is visible in the store from the moment it is applied, and durable a little later. An answer that shows it in
//! between would show something that a power cut can undo.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// How far the committer has come with applying and syncing.
#[derive(Debug)]
pub(crate) struct Durability {
    /// Batches whose applying has begun.
    begun: AtomicU64,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// Batches that are on disk.
    reached: u64,
    /// Why the store cannot be trusted at present.
    failure: Option<String>,
}

impl Durability {
    pub(crate) fn new() -> Self {
        Self { begun: AtomicU64::new(0), state: watch::Sender::new(State::default()) }
    }

    /// The committer: from now on readers may see the next batch.
    pub(crate) fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The committer: this batch is on disk.
    pub(crate) fn reached(&self, batch: u64) {
        self.state.send_modify(|state| state.reached = batch);
    }

    /// The committer: the store fails.
    pub(crate) fn failed(&self, failure: String) {
        self.state.send_modify(|state| state.failure = Some(failure));
    }

    /// The committer: the store was opened afresh and synced.
    pub(crate) fn well_again(&self) {
        let reached = self.begun.load(Ordering::SeqCst);
        self.state.send_replace(State { reached, failure: None });
    }

    /// Why the store cannot be trusted at present.
    pub(crate) fn failure(&self) -> Option<String> {
        self.state.borrow().failure.clone()
    }

    /// Waits until everything that was visible when called is on disk.
    ///
    /// # Errors
    /// The store's words, if it fails instead.
    pub(crate) async fn visible_is_durable(&self) -> Result<(), String> {
        let begun = self.begun.load(Ordering::SeqCst);
        let mut state = self.state.subscribe();
        let reached = state.wait_for(|state| state.reached >= begun || state.failure.is_some()).await;
        // The sender lives in `self`, so waiting itself cannot fail.
        match reached.map(|state| state.failure.clone()) {
            Ok(Some(failure)) => Err(failure),
            _ => Ok(()),
        }
    }
}
