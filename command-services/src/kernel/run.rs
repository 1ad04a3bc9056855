//! A command service from its start to its end: threads started in order, stopped in order.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use axum::Router;
use axum::serve::ListenerExt as _;
use event_log::process::{EXIT_FAILED, EXIT_IN_USE, LockError};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::aggregate::Aggregate;
use super::ambient::{Ambient, SystemAmbient};
use super::committer::{Committer, Work};
use super::directory::DirectoryError;
use super::durability::Durability;
use super::followed::FollowedPositions;
use super::follower::Follower;
use super::group::GroupError;
use super::idempotency::{Forgetter, InFlight};
use super::keep::Keeper;
use super::metrics::Metrics;
use super::positions::Positions;
use super::relay::Relay;
use super::service::Service;
use super::settings::Settings;
use super::start::{StartError, Started, start};

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
    /// A thread panicked.
    #[error("the {0} ended by a fault of this program; its log says more")]
    Panicked(&'static str),
    /// The store could not be closed in order.
    #[error("the store could not be synced at the end: {0}")]
    Close(#[source] super::store::StoreError),
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
    let running =
        blocking("start", move || Running::<A>::start(&settings, Arc::new(SystemAmbient))).await??;
    let router = router(Arc::clone(&running.service));
    tracing::info!(service = A::SERVICE, "listening on {address}");
    let served = serve(listener, router, until_stop_or_fault(shutdown, running.faults.subscribe())).await;
    tracing::info!(service = A::SERVICE, "stopping");
    blocking("stop", move || running.stop()).await??;
    served.map_err(RunError::Serve)
}

/// Serves until `stop`, then until all requests are answered, but not for longer than a request may take.
async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopping, mut stopped) = watch::channel(false);
    let stop = async move {
        stop.await;
        stopping.send_replace(true);
    };
    // An answer is one small write: nothing is gained by holding it back for more.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's algorithm");
        }
    });
    let served = axum::serve(listener, router).with_graceful_shutdown(stop).into_future();
    let too_long = async {
        // An error means that serving has ended by itself.
        let _ = stopped.wait_for(|stopped| *stopped).await;
        tokio::time::sleep(ANSWERING_AT_STOP_MAX).await;
    };
    tokio::select! {
        served = served => served,
        () = too_long => {
            tracing::warn!("some clients did not finish their requests; their connections are cut");
            Ok(())
        }
    }
}

async fn until_stop_or_fault(stop: impl Future<Output = ()>, mut faults: watch::Receiver<bool>) {
    tokio::select! {
        () = stop => {}
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

/// A service with its threads.
pub(crate) struct Running<A: Aggregate> {
    pub(crate) service: Arc<Service<A>>,
    stopping: Arc<AtomicBool>,
    faults: watch::Sender<bool>,
    committer: JoinHandle<()>,
    relay: JoinHandle<()>,
    follower: Option<JoinHandle<()>>,
    // Released last.
    started: Started,
}

impl<A: Aggregate> Running<A> {
    /// Opens and compares everything, then starts the threads. Blocks.
    pub(crate) fn start(settings: &Settings, ambient: Arc<dyn Ambient>) -> Result<Self, RunError> {
        let started = start::<A>(settings)?;
        let metrics = Arc::new(Metrics::new());
        let durable = started.counters.iter().map(|counter| counter.next).collect();
        let positions = Arc::new(Positions::new(durable, started.sent.clone()));
        let (sender, work) = mpsc::sync_channel(settings.limits.queued_commands_max);
        let service = Arc::new(Service {
            store: Arc::clone(&started.store),
            committer: sender,
            positions,
            durability: Arc::new(Durability::new()),
            followed: Arc::new(FollowedPositions::new(A::FOLLOWS)),
            in_flight: InFlight::default(),
            ambient,
            metrics,
            limits: settings.limits.clone(),
            answer_after: settings.answer_after,
        });
        let stopping = Arc::new(AtomicBool::new(false));
        let committer = committer(&service, &started, work);
        let relay = relay(&service, &started, settings).map_err(StartError::from)?;
        let follower = follower(&service, settings, &stopping);
        let faults = watch::Sender::new(false);
        let follower = follower.map(|follower| spawn("follower", &faults, move || follower.run()));
        Ok(Self {
            committer: spawn("committer", &faults, move || committer.run())?,
            relay: spawn("relay", &faults, move || relay.run())?,
            follower: follower.transpose()?,
            service,
            stopping,
            faults,
            started,
        })
    }

    /// Decides what is queued, hands over what Kafka takes in time, and closes the store. Blocks.
    pub(crate) fn stop(self) -> Result<(), RunError> {
        self.stopping.store(true, Ordering::Relaxed);
        // An error means that the committer has ended already.
        let _ = self.service.committer.send(Work::Stop);
        let committer = join("committer", self.committer);
        self.service.positions.stop(Instant::now() + self.service.limits.drain_timeout);
        let relay = join("relay", self.relay);
        let follower = self.follower.map_or(Ok(()), |follower| join("follower", follower));
        let unsent = self.service.positions.unsent();
        if unsent > 0 {
            tracing::warn!(
                service = A::SERVICE,
                unsent,
                "stopped before Kafka had all events; they are sent at the next start"
            );
        }
        let closed = self.started.store.close().map_err(RunError::Close);
        drop(self.started.directory);
        committer.and(relay).and(follower).and(closed)
    }
}

fn committer<A: Aggregate>(
    service: &Service<A>,
    started: &Started,
    work: mpsc::Receiver<Work<A>>,
) -> Committer<A> {
    Committer {
        store: Arc::clone(&service.store),
        counters: started.counters.clone(),
        positions: Arc::clone(&service.positions),
        durability: Arc::clone(&service.durability),
        ambient: Arc::clone(&service.ambient),
        metrics: Arc::clone(&service.metrics),
        limits: service.limits.clone(),
        work,
        forgetter: Forgetter::default(),
    }
}

fn relay<A: Aggregate>(
    service: &Service<A>,
    started: &Started,
    settings: &Settings,
) -> Result<Relay, GroupError> {
    let limits = &settings.limits;
    let keeper =
        Keeper::open(&service.store, started.sent.clone(), limits.kept_events_max, limits.kept_age_max)?;
    Ok(Relay {
        kafka: settings.kafka.clone(),
        topic: A::TOPIC,
        store: Arc::clone(&service.store),
        positions: Arc::clone(&service.positions),
        metrics: Arc::clone(&service.metrics),
        ambient: Arc::clone(&service.ambient),
        keeper,
    })
}

fn follower<A: Aggregate>(
    service: &Service<A>,
    settings: &Settings,
    stopping: &Arc<AtomicBool>,
) -> Option<Follower<A>> {
    (!A::FOLLOWS.is_empty()).then(|| Follower {
        kafka: settings.kafka.clone(),
        store: Arc::clone(&service.store),
        committer: service.committer.clone(),
        positions: Arc::clone(&service.followed),
        metrics: Arc::clone(&service.metrics),
        stopping: Arc::clone(stopping),
    })
}

fn spawn(
    name: &str,
    faults: &watch::Sender<bool>,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, RunError> {
    let fault = ReportsPanic(faults.clone());
    let work = move || {
        let _fault = fault;
        work();
    };
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(RunError::Thread)
}

/// A service without one of its threads must end, so that whoever watches it can start it again.
struct ReportsPanic(watch::Sender<bool>);

impl Drop for ReportsPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.send_replace(true);
        }
    }
}

fn join(name: &'static str, thread: JoinHandle<()>) -> Result<(), RunError> {
    thread.join().map_err(|_| RunError::Panicked(name))
}
