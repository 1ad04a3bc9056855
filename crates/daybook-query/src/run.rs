//! One query-api from its start to its stop.

use std::future::Future;
use std::time::Duration;

use axum::Router;
use daybook_event::event_data::EventData;
use daybook_projection::Projection;
use daybook_service::{self, ConnectionLimits, Stop};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::heavy::TaskError;
use super::limits::{SHUTDOWN_GRACE, STOP_TIMEOUT};
use super::queries::Queries;
use super::service::{BuildError, Service, StartError};
use super::settings::Settings;

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("cannot answer requests: {0}")]
    Listen(#[source] std::io::Error),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the read model cannot be built: {0}")]
    Build(#[from] BuildError),
    #[error("the served generation is no longer kept up to date: {0}")]
    Manager(#[source] TaskError),
    #[error("a task ended without a result: {0}")]
    Task(#[from] TaskError),
    #[error(
        "what was at work has not ended {} s after it was asked to stop, and is cut short, which loses nothing: what the disk has not \
         taken the log gives again; check whether the disk of --data-dir answers",
        STOP_TIMEOUT.as_secs()
    )]
    Hangs,
}

impl RunError {
    pub fn is_in_use(&self) -> bool {
        match self {
            Self::Start(error) => error.is_in_use(),
            Self::Build(error) => error.is_in_use(),
            Self::Listen(_) | Self::Manager(_) | Self::Task(_) | Self::Hangs => false,
        }
    }
}

/// Serves `queries` from the read model of `projection` until `shutdown` ends. Requests at work are answered, then the
/// follower is stopped and the store closed.
/// Errors: [`RunError`] if it cannot start, if there is nothing to serve and building it fails, if what is served would stay
/// as it is, or if it does not stop because the disk does not answer.
pub async fn run<E: EventData + 'static>(
    settings: Settings,
    projection: Projection<E>,
    queries: impl Into<Queries>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    let address = listener.local_addr().map_err(RunError::Listen)?;
    let holder = format!("query-api at {address}, pid {}", std::process::id());
    let service = Service::start(&settings, projection, queries, &holder).await?;
    serve(service, listener, settings.connections, settings.wait_ms_max, shutdown).await
}

async fn serve(
    mut service: Service,
    listener: TcpListener,
    connections: ConnectionLimits,
    wait_ms_max: u64,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    let address = listener.local_addr().map_err(RunError::Listen)?;
    let closed = Stop::default();
    let close = closed.on_drop();
    let mut server = spawn_server(listener, service.router(), connections, closed);
    let shutdown = daybook_service::listening(shutdown).await;
    tracing::info!("listening on {address}");
    let ended = tokio::select! {
        () = shutdown => Ok(()),
        answered = &mut server => answered.map_err(|error| RunError::Task(error.into())),
        error = service.failed() => Err(error),
    };
    // Requests first: some of them wait for what the follower is about to project.
    drop(close);
    finish(server, wait_ms_max).await;
    let stopped = service.stop().await;
    if let (Err(_), Err(stopped)) = (&ended, &stopped) {
        // What comes first is what it ends with.
        tracing::error!("{stopped}");
    }
    ended.and(stopped)
}

fn spawn_server(
    listener: TcpListener,
    router: Router,
    connections: ConnectionLimits,
    closed: Stop,
) -> JoinHandle<()> {
    let closed = async move { closed.cancelled().await };
    tokio::spawn(daybook_service::serve(listener, router, connections, closed))
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

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn a_service_whose_generation_manager_panics_ends_and_says_so() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = Service::with_manager(async { panic!("a defect") });
        let error = serve(service, listener, ConnectionLimits::default(), 0, pending()).await.unwrap_err();
        let said = error.to_string();
        assert!(said.contains("no longer kept up to date") && said.contains("a defect"), "{said}");
        assert!(!error.is_in_use());
    }
}
