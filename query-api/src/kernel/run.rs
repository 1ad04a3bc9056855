//! One query-api from its start to its stop.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use event_log::process::{DirectoryLock, LockError};
use projector::kernel::read_model::SERVING_LOCK;
use projector::kernel::{Projection, ReadModel, ReadModelError};
use schemas::event_data::EventData;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::api::Api;
use super::builder::{BuildError, Builder};
use super::keeper::{Keeper, OpenError};
use super::limits::SHUTDOWN_GRACE;
use super::router::router;
use super::settings::Settings;
use super::stop_signal::{StopSignal, stop_signal};

/// Why a query-api did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The address that it listens on cannot be told, or answering failed.
    #[error("cannot answer requests: {0}")]
    Listen(#[source] std::io::Error),
    /// Another query-api serves this read model.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The read model's directory.
    #[error(transparent)]
    ReadModel(#[from] ReadModelError),
    /// The published generation cannot be served.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There was nothing to serve, and it could not be built.
    #[error("the read model cannot be built: {0}")]
    Build(#[from] BuildError),
    /// A defect of this program.
    #[error("a task ended without a result: {0}; restart the process, and report this")]
    Task(#[from] tokio::task::JoinError),
}

impl RunError {
    /// Whether another process has the directory: exit code 3.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        match self {
            Self::Lock(LockError::InUse { .. }) => true,
            Self::Open(error) => error.is_in_use(),
            Self::Build(error) => error.is_in_use(),
            _ => false,
        }
    }
}

/// Serves `routes` from the read model of `projection` until `shutdown` ends. Requests at work are answered, then the
/// follower is stopped and the store closed.
///
/// # Errors
/// [`RunError`] if it cannot start, or if there is nothing to serve and building it fails.
pub async fn run<E: EventData + 'static>(
    settings: Settings,
    projection: Projection<E>,
    routes: Router<Arc<Api>>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    let address = listener.local_addr().map_err(RunError::Listen)?;
    let holder = format!("query-api at {address}, pid {}", std::process::id());
    let data_dir = settings.data_dir.clone();
    let (read_model, _lock) = blocking({
        let holder = holder.clone();
        move || open(&data_dir, &holder)
    })
    .await??;
    let api = Arc::new(Api::new(&projection.layout(), Duration::from_millis(settings.wait_ms_max)));
    let mut keeper =
        Keeper::new(api.clone(), settings.kafka.clone(), read_model.clone(), projection, holder.clone());
    let found = keeper.serve_current(settings.replay).await?;

    let (stopper, stopped) = stop_signal();
    let mut builder = (settings.replay || !found).then(|| {
        Builder { settings: settings.clone(), read_model, projection, holder, api: api.clone() }
            .start(stopped.clone())
    });
    let keeper = tokio::spawn(keeper.run(stopped.clone()));
    let mut server = spawn_server(listener, router(routes, api.clone()), stopped);
    tracing::info!("listening on {address}");

    let ended = tokio::select! {
        () = shutdown => Ok(()),
        answered = &mut server => answered?.map_err(RunError::Listen),
        failed = first_build_failed(&mut builder, &api) => Err(failed.into()),
    };
    stopper.stop();
    finish(server, settings.wait_ms_max).await;
    if let Some(builder) = builder {
        // It has been told to stop; what it says to that is no news.
        let _ended = builder.await;
    }
    keeper.await?;
    ended
}

fn open(data_dir: &Path, holder: &str) -> Result<(ReadModel, DirectoryLock), RunError> {
    let read_model = ReadModel::open(data_dir)?;
    let lock = DirectoryLock::acquire(data_dir, SERVING_LOCK, holder)?;
    Ok((read_model, lock))
}

type Built = JoinHandle<Result<(), BuildError>>;

/// Ends only if there is nothing to serve and there will not be: then the process had better say so and end.
async fn first_build_failed(builder: &mut Option<Built>, api: &Api) -> BuildError {
    let Some(build) = builder.as_mut() else { return std::future::pending().await };
    let result = build.await.unwrap_or_else(|error| Err(BuildError::Task(error)));
    *builder = None;
    match result {
        Err(error) if api.serving_now().is_none() => error,
        Err(error) => {
            tracing::error!("the rebuild failed, the read model stays as it was: {error}");
            std::future::pending().await
        }
        Ok(()) => std::future::pending().await,
    }
}

fn spawn_server(
    listener: TcpListener,
    router: Router,
    stopped: StopSignal,
) -> JoinHandle<std::io::Result<()>> {
    let listener = listener.tap_io(|connection| {
        // Answers are single writes, which must not wait for the client's acknowledgement of the one before.
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was refused");
        }
    });
    let until = async move { stopped.requested().await };
    tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(until).await })
}

/// Waits until requests at work are answered, but no longer than the longest of them may take.
async fn finish(mut server: JoinHandle<std::io::Result<()>>, wait_ms_max: u64) {
    if server.is_finished() {
        return;
    }
    let grace = SHUTDOWN_GRACE + Duration::from_millis(wait_ms_max);
    if tokio::time::timeout(grace, &mut server).await.is_err() {
        tracing::warn!("connections are still open after {} s and are cut", grace.as_secs());
        server.abort();
    }
}

/// Runs what blocks on a thread that may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    tokio::task::spawn_blocking(work).await
}
