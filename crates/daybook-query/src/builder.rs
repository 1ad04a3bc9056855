//! Builds a generation with a replay: the first one, or a new one beside what is served.
//!
//! The first generation is built by the same replay as any other, and published only when it is complete: a crash on
//! the way leaves nothing that could be taken for a whole read model, and there is one way to build, the fast one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use daybook_event::event_data::EventData;
use daybook_kafka::topics::TopicError;
use daybook_projection::{
    Projection, ReadModel, ReadModelError, ReplayError, ReplayOptions, ReplayProgress, ReplayReport,
    StopReason, replay,
};
use daybook_service::{LogOnce, Stop};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::api::Api;
use super::limits::{BROKER_TIMEOUT, RETRY_INTERVAL};
use super::settings::Settings;
use super::status::Rebuild;
use tokio::task::spawn_blocking;

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error("the replay ended without a result: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl BuildError {
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
            Self::Replay(ReplayError::Stopped(reason)) => reason.may_pass(),
            _ => false,
        }
    }

    /// Another process is building. It will be done at some time, or be gone.
    fn others_at_work(&self) -> bool {
        matches!(self, Self::Replay(ReplayError::ReadModel(ReadModelError::ReplayAtWork { .. })))
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct BuildRequest {
    /// Built whatever there is, because the settings say so.
    pub(super) by_settings: bool,
    /// Published, and of no use to this process.
    pub(super) replaces: Option<String>,
}

pub(super) struct Builder<E: 'static> {
    pub(super) settings: Settings,
    pub(super) read_model: ReadModel,
    pub(super) projection: Projection<E>,
    pub(super) holder: String,
    pub(super) api: Arc<Api>,
    /// Reasons that come again with each attempt.
    pub(super) said: LogOnce,
}

impl<E: EventData + 'static> Builder<E> {
    /// Builds what is requested, one after the other, until `stopped` says so. Fails if a build fails and there is nothing else to
    /// serve.
    pub(super) async fn run(
        self,
        mut requests: mpsc::Receiver<BuildRequest>,
        stopped: Stop,
    ) -> Result<(), BuildError> {
        loop {
            let request = tokio::select! {
                request = requests.recv() => request,
                () = stopped.cancelled() => None,
            };
            let Some(request) = request else { return Ok(()) };
            let built = self.build(&request, &stopped).await;
            self.api.builds_ended.fetch_add(1, Ordering::SeqCst);
            match built {
                Err(error) if self.api.has_nothing_to_serve() => return Err(error),
                Err(error) => {
                    tracing::error!("the rebuild failed, the read model stays as it was: {error}");
                    self.api.build_trouble.store(Arc::new(Some(error.to_string())));
                }
                Ok(()) => {}
            }
        }
    }

    async fn build(&self, request: &BuildRequest, stopped: &Stop) -> Result<(), BuildError> {
        let mut discards = true;
        let give_up_at = Instant::now() + self.settings.start_timeout;
        while !self.published_by_others(request) {
            let error = match self.attempt(stopped).await {
                Ok(report) => {
                    self.report_built(&report);
                    return Ok(());
                }
                Err(error) if error.cancelled() => return Ok(()),
                Err(error @ BuildError::Replay(ReplayError::Abandoned { .. })) if discards => {
                    tracing::warn!("what an earlier replay has left is of no use, and is removed: {error}");
                    match self.discard().await {
                        Ok(()) => {
                            discards = false;
                            continue;
                        }
                        // Another process may be at work with it.
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            let worth_waiting = error.passing() && Instant::now() < give_up_at;
            if !worth_waiting && (request.by_settings || !error.others_at_work()) {
                return Err(error);
            }
            self.report_trouble(&error);
            tokio::select! {
                () = sleep(RETRY_INTERVAL) => {}
                () = stopped.cancelled() => return Ok(()),
            }
        }
        Ok(())
    }

    /// Removes what replays have left unfinished.
    async fn discard(&self) -> Result<(), BuildError> {
        let (read_model, holder) = (self.read_model.clone(), self.holder.clone());
        let discard = move || -> Result<(), ReplayError> {
            let _lock = read_model.lock_for_replay(&holder)?;
            read_model.discard()?;
            Ok(())
        };
        Ok(spawn_blocking(discard).await??)
    }

    fn report_built(&self, report: &ReplayReport) {
        self.api.build_trouble.store(Arc::default());
        tracing::info!(generation = report.generation, events = report.events, "the read model is built");
    }

    fn report_trouble(&self, error: &BuildError) {
        let problem = error.to_string();
        if let Some(more) = self.said.say_like("build", &problem) {
            tracing::warn!("cannot build the read model yet: {problem}; trying again{more}");
        }
        self.api.build_trouble.store(Arc::new(Some(problem)));
    }

    /// Whether what is requested is there, whichever process built it.
    fn published_by_others(&self, request: &BuildRequest) -> bool {
        let is_foreign = self.read_model.current_is_foreign(&self.projection.layout());
        let Ok(Some(current)) = self.read_model.current() else { return false };
        !request.by_settings
            && request.replaces.as_ref() != Some(&current)
            && is_foreign.is_ok_and(|foreign| !foreign)
    }

    async fn attempt(&self, stopped: &Stop) -> Result<ReplayReport, BuildError> {
        let result = spawn_blocking(self.replaying(stopped.clone())).await;
        // Also of one that panicked.
        self.api.rebuild.store(None);
        Ok(result??)
    }

    fn replaying(
        &self,
        cancelled: Stop,
    ) -> impl FnOnce() -> Result<ReplayReport, ReplayError> + Send + 'static {
        let (kafka, read_model, projection) =
            (self.settings.kafka.clone(), self.read_model.clone(), self.projection);
        let options = self.options();
        let api = self.api.clone();
        move || {
            let report =
                |progress: ReplayProgress| api.rebuild.store(Some(Arc::new(Rebuild::from(progress))));
            replay(&kafka, &read_model, projection, &options, report, &cancelled)
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
