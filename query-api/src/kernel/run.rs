//! One query-api from its start to its stop.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use event_log::process::{self, ConnectionLimits};
use projector::kernel::Projection;
use schemas::event_data::EventData;
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinHandle};

use super::api::Api;
use super::builder::BuildError;
use super::limits::SHUTDOWN_GRACE;
use super::service::{Service, StartError};
use super::settings::Settings;
use super::stop_signal::{StopSignal, stop_signal};

/// Why a query-api did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The address that it listens on cannot be told.
    #[error("cannot answer requests: {0}")]
    Listen(#[source] std::io::Error),
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// There was nothing to serve, and it could not be built.
    #[error("the read model cannot be built: {0}")]
    Build(#[from] BuildError),
    /// A defect of this program.
    #[error("a task ended without a result: {0}; restart the process, and report this")]
    Task(#[from] JoinError),
}

impl RunError {
    /// Whether another process has the directory: exit code 3.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        match self {
            Self::Start(error) => error.is_in_use(),
            Self::Build(error) => error.is_in_use(),
            Self::Listen(_) | Self::Task(_) => false,
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
    let mut service = Service::start(&settings, projection, routes, &holder).await?;
    let (close, closed) = stop_signal();
    let mut server = spawn_server(listener, service.router(), settings.connections, closed);
    let shutdown = process::listening(shutdown).await;
    tracing::info!("listening on {address}");
    let ended = tokio::select! {
        () = shutdown => Ok(()),
        answered = &mut server => answered.map_err(RunError::Task),
        error = service.first_build_failed() => Err(error.into()),
    };
    // Requests first: some of them wait for what the follower is about to project.
    close.stop();
    finish(server, settings.wait_ms_max).await;
    service.stop().await?;
    ended
}

fn spawn_server(
    listener: TcpListener,
    router: Router,
    connections: ConnectionLimits,
    closed: StopSignal,
) -> JoinHandle<()> {
    let closed = async move { closed.requested().await };
    tokio::spawn(process::serve(listener, router, connections, closed))
}

/// Waits until requests at work are answered, but no longer than the longest of them may take.
async fn finish(mut server: JoinHandle<()>, wait_ms_max: u64) {
    if server.is_finished() {
        return;
    }
    let grace = SHUTDOWN_GRACE + Duration::from_millis(wait_ms_max);
    if tokio::time::timeout(grace, &mut server).await.is_err() {
        tracing::warn!("connections are still open after {} s and are cut", grace.as_secs());
        server.abort();
    }
}
