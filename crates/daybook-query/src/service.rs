//! Everything of a query-api but the port: read model, generation manager, builder, and the router that answers from them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use daybook_event::event_data::EventData;
use daybook_projection::read_model::{SERVING_LOCK, Withdrawn};
use daybook_projection::{Contradiction, Layout, Projection, ReadModel, ReadModelError};
use daybook_service::{LogOnce, Stop, StopOnDrop};
use daybook_store::{DirectoryLock, LockError};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;

use super::api::Api;
pub use super::builder::BuildError;
use super::builder::{BuildRequest, Builder};
use super::generations::GenerationManager;
use super::heavy::{OwnThreads, TaskError};
use super::limits::{BUILDS_WANTED_MAX, MANAGER_BLOCKING_THREADS_MAX, STOP_TIMEOUT};
use super::measuring::measure;
use super::ownership::Ownership;
use super::queries::Queries;
use super::router::router;
use super::run::RunError;
use super::settings::Settings;
use tokio::task::spawn_blocking;

/// A running query service without a port.
pub struct Service {
    router: Router,
    stopper: StopOnDrop,
    /// None once it has been reported that it ended.
    manager: Option<OwnThreads>,
    ownership: JoinHandle<()>,
    builder: Option<JoinHandle<Result<(), BuildError>>>,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    ReadModel(#[from] ReadModelError),
    #[error("the system gives no thread for the generation manager: {0}; check the limits of this process")]
    Thread(#[from] std::io::Error),
    #[error(transparent)]
    Projection(#[from] Contradiction),
    #[error("the queries contradict themselves: {0}")]
    Queries(String),
    #[error("starting ended without a result: {0}; restart the process, and report this")]
    Task(#[from] JoinError),
}

impl StartError {
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Lock(LockError::InUse { .. }))
    }
}

impl Service {
    /// Answers `queries` from now on: from the published generation as soon as it is open and has caught up, if there is one that
    /// is not damaged; else, or if the settings ask for it, one is built. `holder` says who this is, to others who find the read
    /// model in use.
    /// Errors: [`StartError`]; nothing has been changed then.
    pub async fn start<E: EventData + 'static>(
        settings: &Settings,
        projection: Projection<E>,
        queries: impl Into<Queries>,
        holder: &str,
    ) -> Result<Self, StartError> {
        let (layout, queries) = (projection.layout(), queries.into());
        if let Some(contradiction) = projection.contradiction() {
            return Err(contradiction.into());
        }
        if let Some(contradiction) = queries.contradiction(&layout) {
            return Err(StartError::Queries(contradiction));
        }
        let (read_model, lock) = open(&settings.data_dir, &layout, holder).await?;
        let wait_max = Duration::from_millis(settings.wait_ms_max);
        let api = Arc::new(Api::new(read_model.clone(), &layout, wait_max, settings.catch_up_max));
        let (kafka, holder) = (settings.kafka.clone(), holder.to_owned());
        let (builds, build_requests) = mpsc::channel(BUILDS_WANTED_MAX);
        if settings.replay {
            let sent = builds.send(BuildRequest { by_settings: true, replaces: None }).await;
            debug_assert!(sent.is_ok(), "the receiver is still here");
        }
        let manager = GenerationManager::new(
            api.clone(),
            kafka,
            read_model.clone(),
            projection,
            holder.clone(),
            builds,
        );
        let stopped = Stop::default();
        let stopper = stopped.on_drop();
        let ownership = Ownership {
            read_model: read_model.clone(),
            api: api.clone(),
            holder: holder.clone(),
            stopped: stopped.clone(),
        };
        let ownership = tokio::spawn(ownership.keep(lock));
        let builder = Builder {
            settings: settings.clone(),
            read_model,
            projection,
            holder,
            api: api.clone(),
            said: LogOnce::new(),
        };
        let router = router(queries, api.clone());
        let manager = Some(spawn_manager(manager, api, stopped.clone())?);
        Ok(Self {
            router,
            manager,
            builder: Some(tokio::spawn(builder.run(build_requests, stopped))),
            ownership,
            stopper,
        })
    }

    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Ends only if nothing is served and will not be, or if what is served would stay as it is for ever: then the process had
    /// better say so and end.
    pub async fn failed(&mut self) -> RunError {
        tokio::select! {
            error = build_failed(&mut self.builder) => error.into(),
            error = manager_failed(&mut self.manager) => RunError::Manager(error),
        }
    }

    /// Ends a rebuild at work, stops the follower and closes the store; a disk that does not answer is not waited for.
    /// Errors: [`RunError`]; what has not ended by then runs until the process ends.
    pub async fn stop(self) -> Result<(), RunError> {
        self.stopper.request();
        let ended = async move {
            if let Some(builder) = self.builder {
                // It has been asked to stop; what it says to that is no news.
                let _stopped = builder.await.map_err(TaskError::from)?;
            }
            if let Some(mut manager) = self.manager {
                manager.ended().await?;
            }
            Ok(self.ownership.await.map_err(TaskError::from)?)
        };
        timeout(STOP_TIMEOUT, ended).await.unwrap_or(Err(RunError::Hangs))
    }
}

/// Opens the directory, and takes it for this process. Another process may keep serving it if what is published has
/// another layout: then there is no lock yet.
async fn open(
    data_dir: &Path,
    layout: &Layout,
    holder: &str,
) -> Result<(ReadModel, Option<DirectoryLock>), StartError> {
    let (data_dir, layout, holder) = (data_dir.to_owned(), layout.clone(), holder.to_owned());
    spawn_blocking(move || {
        let read_model = ReadModel::open(&data_dir)?;
        for Withdrawn { generation, served, why } in read_model.withdrawn()? {
            tracing::warn!(
                "{generation} was withdrawn while {served} was served, and is not served: {why}. The next replay removes it; `projector --replay --accept-difference WHY` publishes all the same what it builds"
            );
        }
        match DirectoryLock::acquire(&data_dir, SERVING_LOCK, &holder) {
            Ok(lock) => Ok((read_model, Some(lock))),
            Err(LockError::InUse { holder, .. }) if read_model.current_is_foreign(&layout)? => {
                tracing::warn!(
                    "{holder} keeps serving another layout while this process builds layout {layout}"
                );
                Ok((read_model, None))
            }
            Err(error) => Err(error.into()),
        }
    })
    .await?
}

async fn build_failed(builder: &mut Option<JoinHandle<Result<(), BuildError>>>) -> BuildError {
    let Some(at_work) = builder else { return std::future::pending().await };
    let result = at_work.await.unwrap_or_else(|error| Err(BuildError::Task(error)));
    *builder = None;
    match result {
        Err(error) => error,
        Ok(()) => std::future::pending().await,
    }
}

async fn manager_failed(manager: &mut Option<OwnThreads>) -> TaskError {
    let Some(at_work) = manager else { return std::future::pending().await };
    let result = at_work.ended().await;
    *manager = None;
    match result {
        Err(error) => error,
        Ok(()) => std::future::pending().await,
    }
}

/// On threads of its own: whatever queries wait for, the served generation is managed.
fn spawn_manager<E: EventData + 'static>(
    manager: GenerationManager<E>,
    api: Arc<Api>,
    stopped: Stop,
) -> std::io::Result<OwnThreads> {
    OwnThreads::spawn("generations", MANAGER_BLOCKING_THREADS_MAX, async move {
        tokio::select! {
            () = manager.run(stopped) => {}
            () = measure(api) => {}
        }
    })
}

#[cfg(test)]
impl Service {
    /// Answers nothing; its generation manager is what the test gives it.
    pub(super) fn with_manager(manager: impl Future<Output = ()> + Send + 'static) -> Self {
        let stopped = Stop::default();
        let stopper = stopped.on_drop();
        let manager = OwnThreads::spawn("generations", 1, manager).ok();
        let ownership = tokio::spawn(async move { stopped.cancelled().await });
        Self { router: Router::new(), stopper, manager, ownership, builder: None }
    }
}
