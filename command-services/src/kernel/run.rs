//! A command service from its start to its end: it serves until it is asked to stop, or one of its threads is gone.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use event_log::process::{self, ConnectionLimits, EXIT_FAILED, EXIT_IN_USE, LockError};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::aggregate::Aggregate;
use super::ambient::SystemAmbient;
use super::directory::DirectoryError;
use super::integrity::IntegrityError;
use super::positions::Positions;
use super::running::Running;
use super::service::Service;
use super::settings::Settings;
use super::start::StartError;
use super::store::StoreError;
use super::writer::{Superseded, Unsaved};

/// How long requests that were accepted before the stop may take to be answered.
const ANSWERING_AT_STOP_MAX: Duration = Duration::from_secs(10);

/// Why a service ended otherwise than asked.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It did not start.
    #[error(transparent)]
    Start(Box<StartError>),
    /// A thread could not be started.
    #[error("a thread of the service cannot be started")]
    Thread(#[source] io::Error),
    /// It cannot serve.
    #[error("the service cannot accept connections")]
    Serve(#[source] io::Error),
    /// Another writer has taken its topic over.
    #[error("{by}; this process has stopped, and {unsaved}")]
    Superseded {
        /// Who.
        by: Box<Superseded>,
        /// What of its outbox is not in the log.
        unsaved: Unsaved,
    },
    /// A thread panicked.
    #[error("the {0} ended by a fault of this program; its log says more")]
    Panicked(&'static str),
    /// The store failed, and must not be gone on with as it came back.
    #[error(transparent)]
    Integrity(Box<IntegrityError>),
    /// The store could not be closed in order.
    #[error("the store could not be synced at the end: {0}")]
    Close(#[source] StoreError),
}

impl From<StartError> for RunError {
    fn from(error: StartError) -> Self {
        Self::Start(Box::new(error))
    }
}

impl RunError {
    /// The process's exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let start = if let Self::Start(start) = self { Some(&**start) } else { None };
        match start {
            Some(StartError::Directory(DirectoryError::Lock(LockError::InUse { .. }))) => EXIT_IN_USE,
            _ => EXIT_FAILED,
        }
    }
}

/// Runs a service on a bound listener until `shutdown` completes.
pub(crate) async fn run<A: Aggregate>(
    settings: Settings,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
    router: fn(Arc<Service<A>>) -> Router,
) -> Result<(), RunError> {
    let address = listener.local_addr().map_err(RunError::Serve)?;
    let connections = settings.connections;
    let running =
        blocking("start", move || Running::<A>::start(&settings, Arc::new(SystemAmbient))).await??;
    let router = router(Arc::clone(&running.service));
    let shutdown = process::listening(shutdown).await;
    tracing::info!(service = A::SERVICE, "listening on {address}");
    let positions = Arc::clone(&running.service.positions);
    let faults = running.faults.subscribe();
    serve(listener, router, connections, until_stop_or_fault(shutdown, faults, positions)).await;
    tracing::info!(service = A::SERVICE, "stopping");
    blocking("stop", move || running.stop()).await?
}

/// Serves until `stop`, then until all requests are answered, but not for longer than a request may take.
async fn serve(
    listener: TcpListener,
    router: Router,
    connections: ConnectionLimits,
    stop: impl Future<Output = ()>,
) {
    let (stopping, mut stopped) = watch::channel(false);
    let stop = async move {
        stop.await;
        stopping.send_replace(true);
    };
    let too_long = async {
        // An error means that serving has ended by itself.
        let _ = stopped.wait_for(|stopped| *stopped).await;
        tokio::time::sleep(ANSWERING_AT_STOP_MAX).await;
    };
    tokio::select! {
        () = process::serve(listener, router, connections, stop) => {}
        () = too_long => tracing::warn!("some clients did not finish their requests; their connections are cut"),
    }
}

async fn until_stop_or_fault(
    stop: impl Future<Output = ()>,
    mut faults: watch::Receiver<bool>,
    positions: Arc<Positions>,
) {
    tokio::select! {
        () = stop => {}
        _ = positions.until_superseded() => {}
        // An error means that no thread is left.
        _ = faults.wait_for(|fault| *fault) => tracing::error!("a thread of the service has ended; stopping"),
    }
}

async fn blocking<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, RunError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| RunError::Panicked(doing))
}
