//! Opening generations, and followers on them.

use std::sync::Arc;

use daybook_event::event_data::EventData;
use daybook_kafka::Kafka;
use daybook_projection::quarantine::{Released, SkippedEvent, leave_out, release_all, unnamed};
use daybook_projection::{
    FollowOptions, Follower, Generation, GenerationError, Projection, ReadModel, ReadModelError,
};
use tokio::time::Instant;

use super::candidate::Candidate;
use tokio::task::spawn_blocking;

#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error(transparent)]
    Generation(#[from] GenerationError),
    #[error(transparent)]
    ReadModel(#[from] ReadModelError),
    #[error("the system gives no thread for a follower: {0}; check the limits of this process")]
    Follow(#[from] std::io::Error),
    #[error("opening it ended without a result: {0}; restart the process, and report this")]
    Task(#[from] tokio::task::JoinError),
}

impl OpenError {
    /// Whether nothing but another generation helps. Whatever else it is may pass: another process has the generation, the
    /// disk is full, or the system gives no thread.
    pub(super) fn is_lasting(&self) -> bool {
        let lasts = |error: &GenerationError| {
            matches!(error, GenerationError::ForeignLayout { .. } | GenerationError::Unfinished { .. })
        };
        self.is_damage() || matches!(self, Self::Generation(error) if lasts(error))
    }

    /// Whether the generation is damaged, so that no process can serve it.
    pub(super) fn is_damage(&self) -> bool {
        matches!(self, Self::Generation(error) if error.is_damage())
    }

    /// As `/status` has it, with what helps if it does not pass: nothing can be compared with what cannot be opened.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Generation(GenerationError::Store(_) | GenerationError::Lock(_)) => format!(
                "{self}. While that lasts no replay is compared with it: `projector --replay --accept-difference WHY` publishes one \
                 without"
            ),
            _ => self.to_string(),
        }
    }
}

pub(super) struct Opener<E: 'static> {
    pub(super) kafka: Kafka,
    pub(super) projection: Projection<E>,
    pub(super) holder: String,
}

impl<E: EventData + 'static> Opener<E> {
    /// Opens a generation, takes what waits in it and can be projected, and begins to follow into it. Blocks.
    pub(super) fn open(&self, read_model: &ReadModel, name: &str) -> Result<Candidate, OpenError> {
        let skipped = read_model.skipped()?;
        let generation =
            Generation::open(&read_model.path_of(name), &self.projection.layout(), &self.holder)?;
        generation.check_rows().map_err(GenerationError::from)?;
        warn_of_unnamed(&generation, &skipped);
        leave_out(&generation, self.projection, skipped).map_err(GenerationError::from)?;
        let released = release_all(&generation, self.projection).map_err(GenerationError::from)?;
        if released.projected > 0 {
            let Released { projected, waiting, .. } = released;
            tracing::info!(projected, waiting, "events that waited have been projected");
        }
        let is_accepted = generation.accepted().map_err(GenerationError::from)?.is_some();
        Ok(Candidate { is_accepted, ..self.follow(name.to_owned(), Arc::new(generation))? })
    }

    pub(super) fn follow(&self, name: String, generation: Arc<Generation>) -> std::io::Result<Candidate> {
        let follower =
            Follower::start(&self.kafka, generation.clone(), self.projection, FollowOptions::default())?;
        let (progress, compare_at) = (follower.progress(), Some(Instant::now()));
        Ok(Candidate { name, generation, progress, follower, is_accepted: false, compare_at })
    }
}

/// What is left out here and named nowhere is back in the next generation that is built.
fn warn_of_unnamed(generation: &Generation, named: &[SkippedEvent]) {
    let unnamed = unnamed(generation.quarantine().skipped(), named).len();
    if unnamed > 0 {
        tracing::warn!(
            unnamed,
            "{} leaves out events that SKIPPED does not name: restore that file from a copy, or the next replay projects them, or has \
             them wait, and is not published without --accept-difference",
            generation.path().display()
        );
    }
}

pub(super) async fn stop(follower: Follower) {
    match spawn_blocking(move || follower.stop()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::error!("the follower's last rows are not on disk, the log gives them again: {error}")
        }
        Err(error) => tracing::error!("the follower did not stop: {error}"),
    }
}
