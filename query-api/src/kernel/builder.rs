//! Builds a generation with a replay: the first one, or a new one beside what is served.
//!
//! The first generation is built by the same replay as any other, and published only when it is complete: a crash on
//! the way leaves nothing that could be taken for a whole read model, and there is one way to build, the fast one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use event_log::topics::TopicError;
use projector::kernel::{
    Projection, ReadModel, ReadModelError, ReplayError, ReplayOptions, ReplayProgress, ReplayReport,
    StopReason, replay,
};
use schemas::event_data::EventData;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::api::Api;
use super::blocking::blocking;
use super::limits::{BROKER_TIMEOUT, RETRY_INTERVAL};
use super::rebuild::Rebuild;
use super::settings::Settings;
use super::stop_signal::StopSignal;

/// Why there is no new generation.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The replay failed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A defect of this program.
    #[error("the replay ended without a result: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl BuildError {
    /// Whether another process has the directory.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Replay(error) if error.is_in_use())
    }

    fn cancelled(&self) -> bool {
        matches!(self, Self::Replay(ReplayError::Cancelled { .. }))
    }

    /// Kafka or a topic is not there yet, or not with all that an unfinished build has read: worth another try, for a while.
    fn passing(&self) -> bool {
        match self {
            Self::Replay(ReplayError::Stopped(StopReason::LogWentBack { .. })) => true,
            Self::Replay(ReplayError::Topic(error)) => {
                error.is_away()
                    || matches!(
                        error,
                        TopicError::Missing { .. } | TopicError::Inspect { .. } | TopicError::Log(_)
                    )
            }
            _ => false,
        }
    }

    /// Another process is building. It will be done at some time, or be gone.
    fn others_at_work(&self) -> bool {
        matches!(self, Self::Replay(ReplayError::ReadModel(ReadModelError::ReplayAtWork { .. })))
    }
}

/// Everything that a build needs.
pub(super) struct Builder<E: 'static> {
    pub(super) settings: Settings,
    pub(super) read_model: ReadModel,
    pub(super) projection: Projection<E>,
    pub(super) holder: String,
    pub(super) api: Arc<Api>,
}

impl<E: EventData + 'static> Builder<E> {
    /// Builds in the background; ends early when `stopped` says so.
    pub(super) fn start(self, stopped: StopSignal) -> JoinHandle<Result<(), BuildError>> {
        tokio::spawn(self.build(stopped))
    }

    async fn build(self, stopped: StopSignal) -> Result<(), BuildError> {
        let give_up_at = Instant::now() + self.settings.start_timeout;
        loop {
            let error = match self.attempt(&stopped).await {
                Ok(report) => {
                    self.tell_built(&report);
                    return Ok(());
                }
                Err(error) => error,
            };
            if error.cancelled() || self.published_by_others() {
                return Ok(());
            }
            let worth_waiting = error.passing() && Instant::now() < give_up_at;
            if !worth_waiting && (self.settings.replay || !error.others_at_work()) {
                return Err(error);
            }
            self.tell_trouble(&error);
            tokio::select! {
                () = sleep(RETRY_INTERVAL) => {}
                () = stopped.requested() => return Ok(()),
            }
        }
    }

    fn tell_built(&self, report: &ReplayReport) {
        self.api.build_trouble.store(Arc::default());
        tracing::info!(generation = report.generation, events = report.events, "the read model is built");
    }

    fn tell_trouble(&self, error: &BuildError) {
        let told = error.to_string();
        if self.api.build_trouble.load().as_ref().as_ref() != Some(&told) {
            tracing::warn!("cannot build the read model yet: {told}; trying again");
            self.api.build_trouble.store(Arc::new(Some(told)));
        }
    }

    /// Whether a process beside this one has built what the first build was for.
    fn published_by_others(&self) -> bool {
        let ours =
            || self.read_model.current_is_foreign(&self.projection.layout()).is_ok_and(|foreign| !foreign);
        !self.settings.replay && matches!(self.read_model.current(), Ok(Some(_))) && ours()
    }

    async fn attempt(&self, stopped: &StopSignal) -> Result<ReplayReport, BuildError> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let running = blocking(self.replaying(cancelled.clone()));
        tokio::pin!(running);
        let result = tokio::select! {
            result = &mut running => result?,
            () = stopped.requested() => {
                cancelled.store(true, Ordering::Relaxed);
                running.await?
            }
        };
        self.api.rebuild.store(None);
        Ok(result?)
    }

    fn replaying(
        &self,
        cancelled: Arc<AtomicBool>,
    ) -> impl FnOnce() -> Result<ReplayReport, ReplayError> + Send + 'static {
        let (kafka, read_model, projection) =
            (self.settings.kafka.clone(), self.read_model.clone(), self.projection);
        let options = self.options();
        let api = self.api.clone();
        move || {
            let tell = |progress: ReplayProgress| api.rebuild.store(Some(Arc::new(Rebuild::from(progress))));
            replay(&kafka, &read_model, projection, &options, tell, &cancelled)
        }
    }

    fn options(&self) -> ReplayOptions {
        ReplayOptions {
            memory_bytes_max: self.settings.memory_bytes_max,
            keep: self.settings.keep,
            accept_difference: self.settings.accept_difference.clone(),
            start_timeout: BROKER_TIMEOUT.min(self.settings.start_timeout),
            ..ReplayOptions::new(self.settings.partitions, self.holder.clone())
        }
    }
}
