//! HTTP connections within bounds: how many are open, how long a client may be silent, how much of one is in memory.
//!
//! **At the bound** nobody is refused: further clients wait in the system's backlog until a connection closes. That takes
//! no longer than [`ConnectionLimits::silence_max`] as soon as clients do nothing: a connection on which no complete
//! request head arrives for so long is closed, whether it trickles, was forgotten, or is kept for later; and so is one
//! whose client does not take its answer.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;

use crate::http::refused_host;
use crate::settings::{defaults, millis, number};

/// A day: longer ones are mistakes of unit.
const SILENCE_MS_MAX_LIMIT: u64 = 86_400_000;
/// What of one connection is in memory, each way: the longest request head with room for a token of hundreds of positions.
const BUFFER_BYTES_MAX: usize = 32 * 1024;
/// Pause after the system had no connection to give, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

#[derive(clap::Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// HTTP connections open at the same time; further clients wait until one closes
    #[arg(
        long = "connections-max",
        env = "DAYBOOK_CONNECTIONS_MAX",
        default_value = "10000",
        value_name = "N",
        value_parser = number::<usize>(1..=1_000_000)
    )]
    pub open_max: usize,
    /// Longest time without a complete request head, or without progress of an answer, before a connection is closed
    #[arg(
        long = "silence-ms-max",
        env = "DAYBOOK_SILENCE_MS_MAX",
        default_value = "15000",
        value_name = "MS",
        value_parser = millis(1..=SILENCE_MS_MAX_LIMIT)
    )]
    pub silence_max: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        defaults()
    }
}

/// Serves `router` until `stop` ends. The listener is closed then, and requests at work are answered.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    stop: impl Future<Output = ()>,
) {
    make_room_for(limits.open_max);
    let open = Arc::new(Semaphore::new(limits.open_max.min(Semaphore::MAX_PERMITS)));
    let closing = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let (permit, stream) = tokio::select! {
            next = next(&listener, &open) => next,
            () = &mut stop => break,
        };
        tokio::spawn(connection(stream, router.clone(), limits, closing.watcher(), permit));
    }
    drop(listener);
    closing.shutdown().await;
}

async fn next(listener: &TcpListener, open: &Arc<Semaphore>) -> (Option<OwnedSemaphorePermit>, TcpStream) {
    // Never closed, so there is always a permit.
    let permit = Arc::clone(open).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (permit, stream),
            Err(error) if is_of_the_client(&error) => {}
            Err(error) => {
                tracing::error!(
                    "no connection can be accepted: {error}; raise the limit of open files, or lower --connections-max"
                );
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection(
    stream: TcpStream,
    router: Router,
    limits: ConnectionLimits,
    closing: Watcher,
    _open: Option<OwnedSemaphorePermit>,
) {
    // Answers are single writes, which must not wait for the client's acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps Nagle's algorithm");
    }
    let mut stream = TimeoutStream::new(stream);
    // Reading may take any time here: hyper bounds it.
    stream.set_write_timeout(Some(limits.silence_max));
    let io = TokioIo::new(Box::pin(stream));
    let router = TowerToHyperService::new(router);
    let answer = service_fn(move |request| {
        let answer = refused_host(&request).ok_or_else(|| router.call(request));
        async {
            match answer {
                Ok(refused) => Ok(refused),
                Err(routed) => routed.await,
            }
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.silence_max)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(io, answer);
    if let Err(error) = closing.watch(served).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Open files beside the connections: store, log, brokers.
const OTHER_FILES_MAX: u64 = 1_024;

/// Raises the limit of open files to what so many connections need, as far as the process may; says so if it may not.
fn make_room_for(connections: usize) {
    let needed = connections as u64 + OTHER_FILES_MAX;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return;
    }
    let wanted = maximum.map_or(needed, |maximum| maximum.min(needed));
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        tracing::warn!("the limit of open files stays at {current:?}: {error}");
    }
    if wanted < needed {
        tracing::warn!(
            "this process may open {wanted} files and needs up to {needed} for {connections} connections; raise the hard \
             limit (ulimit -H -n), or lower --connections-max"
        );
    }
}
