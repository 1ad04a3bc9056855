//! Opening generations, and followers on them.

use std::sync::Arc;

use event_log::Kafka;
use projector::kernel::quarantine::{Released, leave_out, release_all};
use projector::kernel::{
    FollowOptions, Follower, Generation, GenerationError, Projection, ReadModel, ReadModelError,
};
use schemas::event_data::EventData;

use super::candidate::Candidate;
use crate::kernel::blocking::blocking;

/// Why a generation cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be opened.
    #[error(transparent)]
    Generation(#[from] GenerationError),
    /// The read model does not say which it is.
    #[error(transparent)]
    ReadModel(#[from] ReadModelError),
    /// No thread for its follower.
    #[error("the system gives no thread for a follower: {0}; check the limits of this process")]
    Follow(#[from] std::io::Error),
    /// A defect of this program.
    #[error("opening it ended without a result: {0}; restart the process, and report this")]
    Task(#[from] tokio::task::JoinError),
}

impl OpenError {
    /// Whether another process has the generation.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Generation(GenerationError::InUse { .. }))
    }

    /// Whether its files are not what was written.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Generation(error) if error.is_damage())
    }

    /// Whether what is published is not there.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::ReadModel(error) if error.is_gone())
    }

    /// Whether its rows mean something else to another version of this program.
    #[must_use]
    pub fn is_foreign_layout(&self) -> bool {
        matches!(self, Self::Generation(GenerationError::ForeignLayout { .. }))
    }
}

/// What it takes to open a generation and follow.
#[derive(Clone)]
pub(super) struct Opener<E: 'static> {
    pub(super) kafka: Kafka,
    pub(super) projection: Projection<E>,
    pub(super) holder: String,
}

impl<E: EventData + 'static> Opener<E> {
    /// Opens a generation and begins to follow into it.
    pub(super) async fn open(&self, read_model: &ReadModel, name: &str) -> Result<Candidate, OpenError> {
        let (read_model, path) = (read_model.clone(), read_model.path_of(name));
        let (projection, holder) = (self.projection, self.holder.clone());
        let open = move || -> Result<Generation, OpenError> {
            let skipped = read_model.skipped()?;
            let generation = Generation::open(&path, &projection.layout(), &holder)?;
            leave_out(&generation, projection, skipped).map_err(GenerationError::from)?;
            let released = release_all(&generation, projection).map_err(GenerationError::from)?;
            if released.projected > 0 {
                let Released { projected, waiting, .. } = released;
                tracing::info!(projected, waiting, "events that waited have been projected");
            }
            Ok(generation)
        };
        let generation = Arc::new(blocking(open).await??);
        let follower = self.follow(generation.clone())?;
        Ok(Candidate { name: name.to_owned(), generation, follower })
    }

    /// Begins to follow into a generation that is open.
    pub(super) fn follow(&self, generation: Arc<Generation>) -> std::io::Result<Follower> {
        Follower::start(&self.kafka, generation, self.projection, FollowOptions::default())
    }
}

/// Stops a follower on a thread that may block.
pub(super) async fn stop(follower: Follower) {
    match blocking(move || follower.stop()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::error!("the follower's last rows are not on disk, the log gives them again: {error}")
        }
        Err(error) => tracing::error!("the follower did not stop: {error}"),
    }
}
