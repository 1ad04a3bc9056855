//! A command service from its start to its end: it serves until it is asked to stop, or one of its threads is gone.
//! While it starts it says that it lives, that it is not ready, and how far it is.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use daybook_event::problem::ProblemType;
use daybook_service::http::problem_types::STARTING;
use daybook_service::http::{ApiError, figures, operations, readiness};
use daybook_service::{EXIT_FAILED, Pause, Stop};
use daybook_store::StoreError;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tower::ServiceExt as _;

use crate::aggregate::Aggregate;
use crate::commit::seal::SystemAmbient;
use crate::fencing::{Fenced, UnpublishedEvents};
use crate::health::{CHECK_PAUSE, Health, NotReady};
use crate::http::{Routes, problems};
use crate::metrics::of_a_start;
use crate::running::Running;
use crate::settings::Settings;
use crate::start::StartError;
use crate::store::index::CommitError;

/// How long requests that were accepted before the stop may take to be answered.
const ANSWERING_AT_STOP_MAX: Duration = Duration::from_secs(10);

/// How long threads may take to end, beside the time in which the outbox is handed over.
const STOPPING_MAX: Duration = Duration::from_secs(15);
/// Pause before a start is tried again that failed for what may pass, doubled up to the longest.
const START_PAUSE: Duration = Duration::from_secs(1);
const START_PAUSE_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Start(Box<StartError>),
    #[error("a thread of the service cannot be started")]
    Thread(#[source] io::Error),
    #[error("the service cannot accept connections")]
    Serve(#[source] io::Error),
    #[error("{by}; this process has stopped, and {unpublished}")]
    Fenced { by: Box<Fenced>, unpublished: UnpublishedEvents },
    #[error("the {0} ended by a fault of this program; its log says more")]
    Panicked(&'static str),
    #[error("the route {0} is declared twice; declare one command for each method and path")]
    RouteTwice(String),
    #[error(
        "the disk has not answered for {waited_s} s: the process ends without waiting for it; what was acknowledged is on disk. A next start \
         that finds the directory in use is waiting for the same disk"
    )]
    Hung { waited_s: u64 },
    #[error(
        "the service's threads did not end within {waited_s} s of the stop: the process ends without waiting for them; what was acknowledged is \
         on disk, also what Kafka does not have"
    )]
    SlowStop { waited_s: u64 },
    #[error(transparent)]
    Commit(Box<CommitError>),
    #[error("the store could not be synced at the end: {0}")]
    Close(#[source] StoreError),
}

impl From<StartError> for RunError {
    fn from(error: StartError) -> Self {
        Self::Start(Box::new(error))
    }
}

impl RunError {
    /// Whether the disk is at fault, which may be well again, or a partition is away, which may come back.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Start(error) if error.may_pass())
    }

    /// Whether threads are left that may never end: the process must not wait for them.
    pub(crate) fn leaves_threads(&self) -> bool {
        matches!(self, Self::Hung { .. } | Self::SlowStop { .. })
    }

    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let start = if let Self::Start(start) = self { Some(&**start) } else { None };
        match start {
            Some(StartError::Directory(error)) => error.exit_code(),
            _ => EXIT_FAILED,
        }
    }
}

/// Runs a service on a bound listener until `shutdown` completes. While it starts it answers that it does.
pub async fn run<A: Aggregate>(
    settings: Settings,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
    routes: Routes<A>,
) -> Result<(), RunError> {
    if let Some(route) = routes.repeated() {
        return Err(RunError::RouteTwice(route));
    }
    let address = listener.local_addr().map_err(RunError::Serve)?;
    let mut shutdown = Box::pin(daybook_service::listening(shutdown).await);
    let (progress, started) = (Arc::new(StartProgress::default()), Arc::new(OnceLock::new()));
    let router = once_started(&started, starting_router(Arc::clone(&progress), &problems::<A>()));
    let closed = Stop::default();
    let close = closed.on_drop();
    let closed = async move { closed.cancelled().await };
    let served = Stop::default();
    let serves = served.on_drop();
    let connections = settings.connections;
    let mut server = tokio::spawn(async move {
        let _serves = serves;
        daybook_service::serve(listener, router, connections, closed).await;
    });
    tracing::info!(service = A::SERVICE, "starting; health is answered on {address}");
    let running = tokio::select! {
        running = start_as_soon_as_it_may::<A>(&settings, &progress) => running?,
        () = &mut shutdown => {
            // What a start leaves unfinished the next one does; its thread ends with the process, or stops what it began.
            tracing::info!(service = A::SERVICE, "stopping before the start was over");
            return Ok(());
        }
    };
    started.get_or_init(|| routes.router(Arc::clone(&running.service)));
    tracing::info!(service = A::SERVICE, "listening on {address}");
    let health = Arc::clone(&running.service.health);
    until_stop_or_fault(shutdown, &running, &health, &served).await;
    drop(close);
    let served = match tokio::time::timeout(ANSWERING_AT_STOP_MAX, &mut server).await {
        Ok(served) => served.map_err(|_| RunError::Panicked("server")),
        Err(_) => {
            tracing::warn!("some clients did not finish their requests; their connections are cut");
            server.abort();
            Ok(())
        }
    };
    tracing::info!(service = A::SERVICE, "stopping");
    stop_in_time(running, &health, settings.limits.drain_timeout).await.and(served)
}

/// Answers as `started` does as soon as that is set, and as `starting` before.
fn once_started(started: &Arc<OnceLock<Router>>, starting: Router) -> Router {
    let started = Arc::clone(started);
    let answer = move |request: Request| started.get().unwrap_or(&starting).clone().oneshot(request);
    Router::new().fallback(answer)
}

/// Starts. While the disk does not do as asked, or nobody answers for a partition that is needed, it is tried again, with longer
/// and longer pauses.
async fn start_as_soon_as_it_may<A: Aggregate>(
    settings: &Settings,
    progress: &Arc<StartProgress>,
) -> Result<Running<A>, RunError> {
    let mut pauses = Pause::new(START_PAUSE, START_PAUSE_MAX);
    loop {
        let (sender, started) = oneshot::channel();
        let (settings, reported) = (settings.clone(), Arc::clone(progress));
        let start = move || {
            let started = Running::<A>::start(&settings, Arc::new(SystemAmbient), &reported);
            if let Err(Ok(running)) = sender.send(started)
                && let Err(error) = running.stop()
            {
                tracing::warn!(%error, "a service that is no longer wanted did not stop in order");
            }
        };
        thread::Builder::new().name("start".to_owned()).spawn(start).map_err(RunError::Thread)?;
        match started.await.unwrap_or(Err(RunError::Panicked("start"))) {
            Err(error) if error.may_pass() => {
                let pause = pauses.longer();
                tracing::error!(service = A::SERVICE, %error, pause_s = pause.as_secs(), "the start is tried again");
                progress.report(error.to_string());
                tokio::time::sleep(pause).await;
            }
            started => return started,
        }
    }
}

/// Stops, unless that takes too long: a disk that does not answer must not keep the process.
async fn stop_in_time<A: Aggregate>(
    running: Running<A>,
    health: &Health,
    drain_timeout: Duration,
) -> Result<(), RunError> {
    if let Some(waited) = health.hung() {
        // Its threads wait in the kernel.
        std::mem::forget(running);
        return Err(RunError::Hung { waited_s: waited.as_secs() });
    }
    let waits_max = drain_timeout + STOPPING_MAX;
    let (sender, stopped) = oneshot::channel();
    let stop = move || drop(sender.send(running.stop()));
    thread::Builder::new().name("stop".to_owned()).spawn(stop).map_err(RunError::Thread)?;
    match tokio::time::timeout(waits_max, stopped).await {
        Ok(stopped) => stopped.unwrap_or(Err(RunError::Panicked("stop"))),
        // The disk is to blame only if it is asked, and does not answer.
        Err(_) => Err(match health.waited() {
            Some(waited) => RunError::Hung { waited_s: waited.as_secs() },
            None => RunError::SlowStop { waited_s: waits_max.as_secs() },
        }),
    }
}

async fn until_stop_or_fault<A: Aggregate>(
    stop: impl Future<Output = ()>,
    running: &Running<A>,
    health: &Health,
    served: &Stop,
) {
    tokio::select! {
        () = stop => {}
        () = served.cancelled() => tracing::error!("nothing is served any more; stopping"),
        () = until_hung(health) => tracing::error!("the disk does not answer; stopping"),
        _ = running.service.positions.until_fenced() => {}
        () = running.faults.cancelled() => tracing::error!("a thread of the service has ended; stopping"),
    }
}

async fn until_hung(health: &Health) {
    let mut checked = Instant::now();
    while health.hung().is_none() {
        tokio::time::sleep(CHECK_PAUSE).await;
        let now = Instant::now();
        health.checked(checked, now);
        checked = now;
    }
}

#[derive(Debug, Default)]
pub(crate) struct StartProgress {
    said: Mutex<String>,
}

impl StartProgress {
    pub(crate) fn report(&self, what: impl Into<String>) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = what.into();
    }

    fn text(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if said.is_empty() { "it has just begun".to_owned() } else { said }
    }
}

/// The routes of a service that starts. `problems` are the kinds that its domain adds.
fn starting_router(starting: Arc<StartProgress>, problems: &[&'static [ProblemType]]) -> Router {
    let routes = operations(get(not_ready), get(metrics), problems);
    routes.fallback(refused).with_state(starting)
}

async fn not_ready(State(progress): State<Arc<StartProgress>>) -> Response {
    readiness(Err(NotReady::starting(&progress.text()).said))
}

async fn metrics(State(progress): State<Arc<StartProgress>>) -> Response {
    figures(of_a_start(NotReady::starting(&progress.text())))
}

/// For clients: what the start has met names directories and brokers.
async fn refused() -> ApiError {
    ApiError::new(&STARTING, "the service is starting; try again, /health/ready says how far it is")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Call, TestService, broker};
    use crate::tests::toy::{Toys, router};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_that_ends_stops_the_service() {
        let broker = broker();
        let toys = TestService::<Toys>::start(broker.kafka(""), router);
        let served = Stop::default();
        let serves = served.on_drop();
        let server = tokio::spawn(async move {
            let _serves = serves;
            panic!("a defect of the server");
        });
        let running = toys.running();
        let noticed = until_stop_or_fault(std::future::pending(), running, &running.service.health, &served);
        tokio::time::timeout(Duration::from_secs(30), noticed).await.expect("noticed in time");
        assert!(server.await.is_err());
    }

    #[tokio::test]
    async fn clients_of_a_start_see_no_directory_and_operators_do() {
        let progress = Arc::new(StartProgress::default());
        progress.report("the disk under /var/lib/daybook fails");
        let router = starting_router(progress, &[]);
        let refused = Call::get("/users/1").send(&router).await;
        assert!(!refused.is_problem(503, "starting").text("detail").contains("/var"), "{refused:?}");
        Call::post("/health/ready", &json!({})).send(&router).await.is_problem(405, "method-not-allowed");
        let ready = Call::get("/health/ready").send(&router).await;
        assert!(ready.is_problem(503, "not-ready").text("detail").contains("/var"), "{ready:?}");
        let shown =
            String::from_utf8(Call::get("/metrics").send(&router).await.is(200).body.to_vec()).unwrap();
        for line in ["daybook_ready 0\n", "daybook_not_ready{reason=\"starting\"} 1\n"] {
            assert!(shown.contains(line), "{line} in {shown}");
        }
    }
}
