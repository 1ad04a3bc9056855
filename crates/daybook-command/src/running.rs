//! A service's threads: started in order, stopped in order.

use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use daybook_event::doubt::Readings;
use daybook_service::{Slot, Stop};

use crate::aggregate::Aggregate;
use crate::commit::idempotency::InFlight;
use crate::commit::seal::Ambient;
use crate::commit::{Clock, Committer, HeldBack, Retiring, Work};
use crate::fencing::{Claimant, Claimed, UnpublishedEvents};
use crate::follow::positions::FollowedPositions;
use crate::follow::{FollowReporter, Follower};
use crate::health::Health;
use crate::log_watch::LogWatch;
use crate::metrics::Metrics;
use crate::outbox::positions::Positions;
use crate::outbox::relay::{Relay, Reported};
use crate::reconcile;
use crate::run::{RunError, StartProgress};
use crate::service::{RequestSlots, Service};
use crate::settings::{AnswerAfter, Settings};
use crate::start::{Started, start};
use crate::store::Kept;
use crate::store::directory::Directory;
use crate::store::index::{self, CommitError, Syncing};

pub(crate) struct Running<A: Aggregate> {
    pub(crate) service: Arc<Service<A>>,
    stopping: Stop,
    /// Says so when a thread has panicked, or must not go on.
    pub(crate) faults: Stop,
    committer: JoinHandle<Result<(), CommitError>>,
    relay: JoinHandle<()>,
    follower: Option<JoinHandle<()>>,
    pub(crate) syncing: Arc<Syncing>,
    syncer: JoinHandle<()>,
    // Released last.
    directory: Directory,
}

impl<A: Aggregate> Running<A> {
    /// Opens and compares everything, reporting how far it is, then starts the threads. Blocks.
    pub(crate) fn start(
        settings: &Settings,
        ambient: Arc<dyn Ambient>,
        progress: &StartProgress,
    ) -> Result<Self, RunError> {
        let started = start::<A>(settings, &ambient, progress)?;
        let Started { directory, kept, claimant, claimed, sent, old_stores } = started;
        let metrics = Arc::new(Metrics::default());
        metrics.old_stores.set(old_stores);
        let journal = kept.journal.reader();
        let (durable, noted) =
            journal.partitions().iter().map(|state| (state.next, state.acknowledged)).unzip();
        let positions = Arc::new(Positions::new(durable, noted));
        positions.set_acknowledged(&sent);
        let (sender, work) = mpsc::sync_channel(settings.limits.queued_commands_max);
        let service = Arc::new(Service {
            store: Arc::clone(&kept.store),
            journal,
            committer: sender,
            positions,
            health: Arc::new(Health::default()),
            followed: Arc::new(FollowedPositions::new(A::FOLLOWS)),
            in_flight: InFlight::default(),
            slots: RequestSlots::new(settings.limits.requests_max),
            ambient,
            metrics,
            limits: settings.limits.clone(),
            answer_after: settings.answer_after,
            set_aside: Arc::clone(&claimant.own.set_aside),
        });
        let stopping = Stop::default();
        let syncing = Arc::clone(&kept.syncing);
        let own = claimant.own.clone();
        let relay = relay(&service, claimant, claimed);
        let committer = committer(&service, kept, work);
        let (doubt, readings) = (Slot::default(), Readings::default());
        let follower = follower(&service, settings, &stopping, (&doubt, &readings));
        let watch = LogWatch {
            own,
            positions: Arc::clone(&service.positions),
            followed: Arc::clone(&service.followed),
            metrics: Arc::clone(&service.metrics),
            doubt,
            readings,
        };
        watch.start().map_err(RunError::Thread)?;
        let faults = Stop::default();
        let follower = follower.map(|follower| spawn("follower", &faults, move || follower.run()));
        let (syncer, counted) = (Arc::clone(&syncing), Arc::clone(&service.metrics));
        Ok(Self {
            syncer: spawn("store-sync", &faults, move || syncer.run(&counted))?,
            committer: spawn("committer", &faults, run_committer(committer, faults.clone()))?,
            relay: spawn("relay", &faults, move || relay.run())?,
            follower: follower.transpose()?,
            service,
            stopping,
            faults,
            syncing,
            directory,
        })
    }

    /// Decides what is queued, hands over what Kafka takes in time, and closes the store. Blocks.
    pub(crate) fn stop(self) -> Result<(), RunError> {
        self.stopping.request();
        // An error means that the committer has ended already.
        let _ = self.service.committer.send(Work::Stop);
        let committer = join("committer", self.committer)
            .and_then(|ended| ended.map_err(|error| RunError::Commit(Box::new(error))));
        self.service.positions.stop(Instant::now() + self.service.limits.drain_timeout);
        let relay = join("relay", self.relay);
        let follower = self.follower.map_or(Ok(()), |follower| join("follower", follower));
        report_unsent(A::SERVICE, &self.service.positions);
        let fenced = self.service.positions.fenced().map_or(Ok(()), |by| {
            let snapshot = self.service.positions.snapshot();
            let unpublished = UnpublishedEvents::of(&snapshot.acknowledged, &snapshot.durable);
            Err(RunError::Fenced { by: Box::new(by), unpublished })
        });
        let syncer = index::join(&self.syncing, self.syncer).then_some(());
        let syncer = syncer.ok_or(RunError::Panicked("thread that syncs the store"));
        let closed = match (self.service.store.close(), self.service.health.failure()) {
            (Err(error), Some(_)) => {
                tracing::warn!(%error, "the store was failing and is not closed in order; the journal has what it lacks");
                Ok(())
            }
            (closed, _) => closed.map_err(RunError::Close),
        };
        drop(self.directory);
        committer.and(relay).and(follower).and(syncer).and(fenced).and(closed)
    }
}

/// What stands in the way now may stand in the way of the next start as well.
fn report_unsent(service: &str, positions: &Positions) {
    let unsent = positions.unsent();
    if unsent == 0 || positions.fenced().is_some() {
        return;
    }
    match positions.halted().or_else(|| positions.trouble()) {
        None => tracing::warn!(
            service,
            unsent,
            "stopped before Kafka had all events; they are sent at the next start"
        ),
        Some(why) => tracing::warn!(
            service,
            unsent,
            "stopped before Kafka had all events; they are kept, and sent by a start once this is mended: {why}"
        ),
    }
}

fn committer<A: Aggregate>(service: &Service<A>, kept: Kept, work: mpsc::Receiver<Work<A>>) -> Committer<A> {
    Committer {
        store: kept.store,
        reader: service.journal.clone(),
        journal: kept.journal,
        syncing: kept.syncing,
        counters: reconcile::counters(&service.journal),
        positions: Arc::clone(&service.positions),
        health: Arc::clone(&service.health),
        followed: Arc::clone(&service.followed),
        ambient: Arc::clone(&service.ambient),
        metrics: Arc::clone(&service.metrics),
        limits: service.limits.clone(),
        work,
        retiring: Retiring::new(&service.limits),
        clock: Clock::new(service.limits.idempotency_age_min),
        held_back: HeldBack::default(),
        index_failures: 0,
        behind: None,
    }
}

/// A committer that must not go on ends the service.
fn run_committer<A: Aggregate>(
    committer: Committer<A>,
    faults: Stop,
) -> impl FnOnce() -> Result<(), CommitError> {
    move || {
        let ended = committer.run();
        if ended.is_err() {
            faults.request();
        }
        ended
    }
}

fn relay<A: Aggregate>(service: &Service<A>, claimant: Claimant, claimed: Claimed) -> Relay {
    Relay {
        claimant,
        claimed: Some(claimed),
        read: Vec::new(),
        journal: service.journal.clone(),
        positions: Arc::clone(&service.positions),
        metrics: Arc::clone(&service.metrics),
        marked: service.positions.snapshot().acknowledged,
        is_awaited: service.answer_after == AnswerAfter::Kafka,
        reported: Reported::default(),
    }
}

fn follower<A: Aggregate>(
    service: &Service<A>,
    settings: &Settings,
    stopping: &Stop,
    (doubt, readings): (&Slot<String>, &Readings),
) -> Option<Follower<A>> {
    (!A::FOLLOWS.is_empty()).then(|| Follower {
        kafka: settings.kafka.clone(),
        store: Arc::clone(&service.store),
        committer: service.committer.clone(),
        positions: Arc::clone(&service.followed),
        metrics: Arc::clone(&service.metrics),
        stopping: stopping.clone(),
        doubt: doubt.clone(),
        readings: readings.clone(),
        opening: 0,
        reporter: FollowReporter::default(),
    })
}

fn spawn<T: Send + 'static>(
    name: &str,
    faults: &Stop,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, RunError> {
    let fault = ReportsPanic(faults.clone());
    let work = move || {
        let _fault = fault;
        work()
    };
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(RunError::Thread)
}

/// A service without one of its threads must end, so that whoever watches it can start it again.
struct ReportsPanic(Stop);

impl Drop for ReportsPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.request();
        }
    }
}

fn join<T>(name: &'static str, thread: JoinHandle<T>) -> Result<T, RunError> {
    thread.join().map_err(|_| RunError::Panicked(name))
}
