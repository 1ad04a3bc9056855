//! One generation while it is served.

use std::sync::Arc;

use daybook_event::token::{Token, TokenPosition};
use daybook_projection::follower::Repairs;
use daybook_projection::{Generation, Progress};
use daybook_service::Stop;
use tokio::sync::watch;

use super::errors::unreadable;
use super::first_catch_up::FirstCatchUp;
use super::heavy::{Heavy, Length};
use super::limits::READ_INLINE_ROWS_MAX;
use super::positions;
use daybook_service::http::ApiError;

/// A generation, and how far its follower has got.
pub struct Serving {
    /// Counts what was served before it in this process.
    pub number: u64,
    pub name: String,
    /// Its rows. Whoever answers a query reads them by [`Serving::read`] or [`Serving::read_many`].
    pub(super) generation: Arc<Generation>,
    /// Its follower's progress; closed once that follower has been stopped.
    pub progress: watch::Receiver<Arc<Progress>>,
    /// Whether it has caught up with the log as it was when it was opened.
    pub(super) first_catch_up: FirstCatchUp,
    /// Releases what waits in it.
    pub repairs: Repairs,
    pub(super) heavy: Arc<Heavy>,
}

impl Serving {
    /// Reads at most about `rows` rows, not more than a page: few at once, because handing them to another thread would take
    /// longer than reading them from memory, unless all threads but this one read already; else on a thread that may block, once
    /// one is free.
    /// Errors: 500 if the read model cannot be read; whatever `read` refuses.
    pub async fn read<T, R>(&self, rows: usize, read: R) -> Result<T, ApiError>
    where
        T: Send + 'static,
        R: FnOnce(&Generation) -> Result<T, ApiError> + Send + 'static,
    {
        let length = if rows <= READ_INLINE_ROWS_MAX { Length::Few } else { Length::Page };
        if length == Length::Few
            && let Some(_leave) = self.heavy.inline()
        {
            return read(&self.generation);
        }
        self.read_heavy(length, |generation, _| read(generation)).await
    }

    /// Reads any number of rows on a thread that may block, once one is free. `read` has to look at its [`Stop`] so often that
    /// it ends soon after its request; nobody sees what it returns then.
    pub async fn read_many<T, R>(&self, read: R) -> Result<T, ApiError>
    where
        T: Send + 'static,
        R: FnOnce(&Generation, &Stop) -> Result<T, ApiError> + Send + 'static,
    {
        self.read_heavy(Length::Whole, read).await
    }

    async fn read_heavy<T, R>(&self, length: Length, read: R) -> Result<T, ApiError>
    where
        T: Send + 'static,
        R: FnOnce(&Generation, &Stop) -> Result<T, ApiError> + Send + 'static,
    {
        let generation = self.generation.clone();
        match self.heavy.run(length, move |stop| read(&generation, stop)).await {
            Ok(result) => result,
            Err(error) => Err(unreadable(&error)),
        }
    }

    /// Ends when all positions of `token` have been projected; never, once the follower has been stopped before.
    pub(super) async fn reached(&self, token: &Token) {
        let mut progress = self.progress.clone();
        let mut missing = 0;
        let reached = |now: &Arc<Progress>| {
            let quarantine = self.generation.last_moment().quarantine.clone();
            let is_there = |at: &TokenPosition| positions::is_projected(&now.checkpoint, &quarantine, at);
            missing = positions::first_missing(token, missing, is_there);
            missing == token.positions.len()
        };
        let gone = progress.wait_for(reached).await.is_err();
        if gone {
            std::future::pending().await
        }
    }
}
