//! Everything of a query-api but the port: read model, keeper, builder, and the router that answers from them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use event_log::process::{DirectoryLock, LockError};
use projector::kernel::read_model::SERVING_LOCK;
use projector::kernel::{Layout, Projection, ReadModel, ReadModelError};
use schemas::event_data::EventData;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

use super::api::Api;
use super::blocking::blocking;
pub use super::builder::BuildError;
use super::builder::{Builder, Wanted};
use super::keeper::Keeper;
use super::limits::BUILDS_WANTED_MAX;
use super::ownership::Ownership;
use super::router::router;
use super::settings::Settings;
use super::stop_signal::{StopSignal, Stopper, stop_signal};

/// A running query service without a port.
pub struct Service {
    router: Router,
    stopper: Stopper,
    keeper: JoinHandle<()>,
    ownership: JoinHandle<()>,
    builder: Option<JoinHandle<Result<(), BuildError>>>,
}

/// Why a query service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process serves this read model.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The read model's directory.
    #[error(transparent)]
    ReadModel(#[from] ReadModelError),
    /// A defect of this program.
    #[error("starting ended without a result: {0}; restart the process, and report this")]
    Task(#[from] JoinError),
}

impl StartError {
    /// Whether another process has the directory.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Lock(LockError::InUse { .. }))
    }
}

impl Service {
    /// Answers `routes` from now on: from the published generation as soon as it is open and has caught up, if there is one that
    /// is not damaged; else, or if the settings ask for it, one is built. `holder` says who this is, to others who find the read
    /// model in use.
    ///
    /// # Errors
    /// [`StartError`]; nothing has been changed then.
    pub async fn start<E: EventData + 'static>(
        settings: &Settings,
        projection: Projection<E>,
        routes: Router<Arc<Api>>,
        holder: &str,
    ) -> Result<Self, StartError> {
        let layout = projection.layout();
        let (read_model, lock) = open(&settings.data_dir, &layout, holder).await?;
        let wait_max = Duration::from_millis(settings.wait_ms_max);
        let api = Arc::new(Api::new(read_model.clone(), &layout, wait_max, settings.catch_up_max));
        let (kafka, holder) = (settings.kafka.clone(), holder.to_owned());
        let (builds, wanted) = mpsc::channel(BUILDS_WANTED_MAX);
        if settings.replay {
            let asked = builds.send(Wanted { asked: true, replaces: None }).await;
            debug_assert!(asked.is_ok(), "the receiver is still here");
        }
        let keeper = Keeper::new(api.clone(), kafka, read_model.clone(), projection, holder.clone(), builds);
        let (stopper, stopped) = stop_signal();
        let ownership = Ownership {
            read_model: read_model.clone(),
            api: api.clone(),
            holder: holder.clone(),
            stopped: stopped.clone(),
        };
        let ownership = tokio::spawn(ownership.keep(lock));
        let builder =
            Builder { settings: settings.clone(), read_model, projection, holder, api: api.clone() };
        Ok(Self {
            router: router(routes, api.clone()),
            builder: Some(tokio::spawn(builder.run(wanted, stopped.clone()))),
            keeper: spawn_keeper(keeper, stopped),
            ownership,
            stopper,
        })
    }

    /// Answers requests.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Ends only if there is nothing to serve and there will not be: then the process had better say so and end.
    pub async fn first_build_failed(&mut self) -> BuildError {
        let Some(builder) = &mut self.builder else { return std::future::pending().await };
        let result = builder.await.unwrap_or_else(|error| Err(BuildError::Task(error)));
        self.builder = None;
        match result {
            Err(error) => error,
            Ok(()) => std::future::pending().await,
        }
    }

    /// Ends a rebuild at work, stops the follower and closes the store.
    ///
    /// # Errors
    /// Only if a task panicked.
    pub async fn stop(self) -> Result<(), JoinError> {
        self.stopper.stop();
        if let Some(builder) = self.builder {
            // It has been told to stop; what it says to that is no news.
            let _stopped = builder.await?;
        }
        self.keeper.await?;
        self.ownership.await
    }
}

/// Opens the directory, and takes it for this process. Another process may go on serving it if what is published has
/// another layout: then there is no lock yet.
async fn open(
    data_dir: &Path,
    layout: &Layout,
    holder: &str,
) -> Result<(ReadModel, Option<DirectoryLock>), StartError> {
    let (data_dir, layout, holder) = (data_dir.to_owned(), layout.clone(), holder.to_owned());
    blocking(move || {
        let read_model = ReadModel::open(&data_dir)?;
        match DirectoryLock::acquire(&data_dir, SERVING_LOCK, &holder) {
            Ok(lock) => Ok((read_model, Some(lock))),
            Err(LockError::InUse { holder, .. }) if read_model.current_is_foreign(&layout)? => {
                tracing::warn!(
                    "{holder} goes on serving another layout while this process builds layout {layout}"
                );
                Ok((read_model, None))
            }
            Err(error) => Err(error.into()),
        }
    })
    .await?
}

fn spawn_keeper<E: EventData + 'static>(keeper: Keeper<E>, stopped: StopSignal) -> JoinHandle<()> {
    tokio::spawn(keeper.run(stopped))
}
