//! What a request handler has of its service: execute a command, load a state, and a place to do so.

use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use daybook_event::token::{Token, TokenPosition};
use daybook_journal::Reader;
use daybook_service::fires;
use daybook_store::{Store, StoreError};
use daybook_stream::{SetAsideNotes, SetAsideShown};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use uuid::Uuid;

use crate::aggregate::{Aggregate, UniqueKeys};
use crate::command::{CommandError, Outcome, Reply, Request};
use crate::commit::idempotency::InFlight;
use crate::commit::seal::Ambient;
use crate::commit::{self, Work};
use crate::follow::positions::FollowedPositions;
use crate::health::{self, Health, NotReady, Refusing};
use crate::metrics::{Metrics, UNAVAILABLE};
use crate::outbox::positions::Positions;
use crate::settings::{AnswerAfter, Limits};
use crate::store::fields::Damaged;
use crate::store::keys;
use crate::store::rows::Versioned;

pub struct Service<A: Aggregate> {
    pub(crate) store: Arc<Store>,
    pub(crate) journal: Reader,
    pub(crate) committer: SyncSender<Work<A>>,
    pub(crate) positions: Arc<Positions>,
    pub(crate) health: Arc<Health>,
    pub(crate) followed: Arc<FollowedPositions>,
    pub(crate) in_flight: InFlight,
    pub(crate) slots: RequestSlots,
    pub(crate) ambient: Arc<dyn Ambient>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
    pub(crate) answer_after: AnswerAfter,
    /// Records of the own topic that are no events of this service.
    pub(crate) set_aside: Arc<SetAsideNotes>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Damaged(#[from] Damaged),
    #[error("the store fails: {0}")]
    Failing(String),
    #[error("the reading was interrupted")]
    Interrupted,
    #[error(transparent)]
    Busy(#[from] Busy),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AfterError {
    #[error("this service does not follow topic {topic}")]
    UnknownTopic { topic: String },
    #[error("topic {topic} has no partition {partition}, but {count} from 0 on")]
    UnknownPartition { topic: String, partition: i32, count: usize },
    #[error("following has stopped: {reason}")]
    Stopped { reason: String },
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error("{}/{}@{} is not here: this service has not written as much; ask again without Daybook-After, or once it has", .0.topic, .0.partition, .0.position)]
    NotHere(TokenPosition),
    #[error("what Daybook-After names has not arrived here within {waited_ms} ms; try again")]
    Timeout { waited_ms: u128 },
}

impl<A: Aggregate> Service<A> {
    /// Decides a command; its outcome is durable, and in Kafka if the settings say so.
    pub(crate) async fn execute(&self, request: Request<A>) -> Result<Outcome, CommandError> {
        let waits_for_kafka = self.answer_after == AnswerAfter::Kafka;
        let enqueued = self.enqueue(request, waits_for_kafka);
        let (reply, at_work, _waiting) = enqueued.inspect_err(|_| self.metrics.command(UNAVAILABLE))?;
        let reply = reply.await.map_err(|_| CommandError::Stopping)??;
        drop(at_work);
        if waits_for_kafka && !fires("ack-before-kafka") {
            let wait = self.limits.kafka_wait_max;
            let acknowledged = self.positions.acknowledged(reply.outcome.written());
            tokio::select! {
                biased;
                in_time = tokio::time::timeout(wait, acknowledged) => {
                    in_time.map_err(|_| CommandError::NotAcknowledged { waited_ms: wait.as_millis() })?;
                }
                by = self.positions.until_fenced() => return Err(CommandError::StoredAndFenced { by }),
            }
        }
        Ok(reply.outcome)
    }

    fn enqueue(&self, request: Request<A>, waits_for_kafka: bool) -> Result<Enqueued, CommandError> {
        if let Some(by) = self.positions.fenced() {
            return Err(CommandError::Fenced { by });
        }
        if let Some(reason) = self.positions.halted() {
            return Err(CommandError::RelayHalted { reason });
        }
        if let Some(detail) = self.health.stuck() {
            return Err(CommandError::Stuck { detail });
        }
        // Whoever writes may be opening the store afresh, which takes its time.
        if let Some(detail) = self.health.failure() {
            return Err(CommandError::StoreFails { detail });
        }
        let at_work = self.slots.work()?;
        // Before the command is decided: afterwards it cannot be refused any more.
        let waiting = waits_for_kafka.then(|| self.slots.wait()).transpose()?;
        Ok((commit::enqueue(&self.committer, request)?, at_work, waiting))
    }

    /// The state of an aggregate, as far as it is durable.
    pub(crate) async fn load(&self, id: Uuid) -> Result<Option<Versioned<A::State>>, LoadError> {
        if let Some(failure) = self.health.failure() {
            return Err(LoadError::Failing(failure));
        }
        let at_work = self.slots.work()?;
        let store = Arc::clone(&self.store);
        let read = tokio::task::spawn_blocking(move || {
            // A read that hangs goes on after its request was given up, and holds its place.
            let _at_work = at_work;
            store.get(&keys::aggregate(id))
        });
        let row = read.await.map_err(|_| LoadError::Interrupted)??;
        if let Some(failure) = self.health.failure() {
            return Err(LoadError::Failing(failure));
        }
        Ok(row.map(|row| Versioned::decode(&row)).transpose()?)
    }

    /// Waits until the positions of a token that concern this service are here.
    pub(crate) async fn after(&self, token: &Token, wait: Option<Duration>) -> Result<(), AfterError> {
        for at in token.positions.iter().filter(|at| at.topic == A::TOPIC) {
            // Nothing brings it to a running service: its directory is older than the token, or the token is none of its own.
            match self.positions.has(at.partition, at.position) {
                Some(true) => {}
                Some(false) => return Err(AfterError::NotHere(at.clone())),
                None => {
                    let (topic, partition) = (at.topic.clone(), at.partition);
                    let count = self.positions.count();
                    return Err(AfterError::UnknownPartition { topic, partition, count });
                }
            }
        }
        let wait = wait.unwrap_or(self.limits.after_wait_max).min(self.limits.after_wait_max);
        let mut there = pin!(self.followed.await_token(token, A::TOPIC, A::FOLLOWS));
        tokio::select! {
            biased;
            found = &mut there => return found,
            () = std::future::ready(()) => {}
        }
        let _waiting = self.slots.wait()?;
        let in_time = tokio::time::timeout(wait, there).await;
        in_time.unwrap_or(Err(AfterError::Timeout { waited_ms: wait.as_millis() }))
    }

    /// Why no command may write anything at present although the service is ready, or none to some partitions: that passes once
    /// Kafka has taken events, or answers.
    pub(crate) fn refuses(&self) -> Option<String> {
        self.refusing().said()
    }

    /// The same, partition by partition.
    pub(crate) fn refusing(&self) -> Refusing {
        Refusing {
            all: commit::fullness(&self.limits, &self.positions, &self.journal),
            some: self.positions.shut(self.limits.unsent_events_max),
            partitions: self.positions.count(),
            has_unique_keys: UniqueKeys::<A>::form() != 0,
        }
    }

    /// What was set aside of the own topic since this process began behind what was known to be acknowledged.
    pub(crate) fn own_set_aside(&self) -> Vec<SetAsideShown> {
        self.set_aside.shown(A::TOPIC)
    }

    pub(crate) fn set_aside_records(&self) -> u64 {
        let followed = self.followed.set_aside();
        self.set_aside.records() + followed.iter().map(|of| of.records).sum::<u64>()
    }

    pub(crate) fn not_ready(&self) -> Option<String> {
        health::said(&self.not_ready_for())
    }

    pub(crate) fn not_ready_for(&self) -> Vec<NotReady> {
        let (health, positions) = (&self.health, &self.positions);
        let fails = |failure| format!("the store fails: {failure}");
        let reasons = [
            ("store-fails", health.failure().map(fails)),
            ("no-room", health.full().map(fails)),
            ("disk-hangs", health.stuck()),
            ("relay-halted", positions.halted()),
            ("not-compared", positions.all_uncompared()),
        ];
        let reasons = reasons.into_iter().filter_map(|(kind, said)| Some(NotReady::new(kind, said?)));
        reasons.chain(self.followed.not_ready()).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Busy {
    #[error("too many requests are being worked on; try again later")]
    AtWork,
    #[error("too many requests wait for what has not come yet; try again later")]
    Waiting,
}

/// The reply to come, and the places that its request has.
type Enqueued =
    (oneshot::Receiver<Result<Reply, CommandError>>, OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

/// How many requests are at work at once, and how many wait. Whoever waits, for a body or for something to happen, takes no
/// place of those who work: else a few thousand that wait for what never comes would shut all others out.
#[derive(Debug)]
pub(crate) struct RequestSlots {
    at_work: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    waiting_max: usize,
}

impl RequestSlots {
    /// Half as many may wait as may be at work.
    pub(crate) fn new(requests_max: usize) -> Self {
        let waiting_max = requests_max.div_ceil(2);
        let places = |count| Arc::new(Semaphore::new(count));
        Self { at_work: places(requests_max), waiting: places(waiting_max), waiting_max }
    }

    /// A place among those at work, for as long as what is returned lives.
    pub(crate) fn work(&self) -> Result<OwnedSemaphorePermit, Busy> {
        Arc::clone(&self.at_work).try_acquire_owned().map_err(|_| Busy::AtWork)
    }

    /// The same among those who wait.
    pub(crate) fn wait(&self) -> Result<OwnedSemaphorePermit, Busy> {
        Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| Busy::Waiting)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting_max - self.waiting.available_permits()
    }
}
