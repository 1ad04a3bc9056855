//! The one thread that writes the store: takes what waits, decides it, writes it as one batch, syncs once, answers all.
//!
//! While one group syncs, the next one gathers in the queue; so the number of commands per sync follows the load by
//! itself. Nothing is answered before its group is durable, not even a rejection: it may rest on a command of the same
//! group.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::aggregate::Aggregate;
use super::ambient::{Ambient, now_ms};
use super::command::{Job, Reply, Request, Undecided};
use super::durability::Durability;
use super::group::{Group, GroupError, Stopped};
use super::idempotency::Forgetter;
use super::metrics::{Metrics, Outcome};
use super::positions::Positions;
use super::rows::Counter;
use super::settings::Limits;
use super::store::{Store, Writes};

/// Most commands in one group: enough to make the sync cheap, few enough that the batch stays small for sled.
const GROUP_COMMANDS_MAX: usize = 256;
/// Pause between two attempts to open a store that failed.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// What the committer is asked to do.
pub(crate) enum Work<A: Aggregate> {
    /// Decide a command.
    Command(Box<Job<A>>),
    /// Write rows followed from another topic, with their checkpoint. They need no sync: what is lost is followed again.
    Follow { writes: Writes, done: oneshot::Sender<()> },
    /// Stop once everything before this is done.
    Stop,
}

/// What the committer works with.
pub(crate) struct Committer<A: Aggregate> {
    pub(crate) store: Arc<Store>,
    pub(crate) counters: Vec<Counter>,
    pub(crate) positions: Arc<Positions>,
    pub(crate) durability: Arc<Durability>,
    pub(crate) ambient: Arc<dyn Ambient>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
    pub(crate) work: Receiver<Work<A>>,
    pub(crate) forgetter: Forgetter,
}

type Waiting = (oneshot::Sender<Result<Reply, Undecided>>, Result<Reply, Undecided>);

/// A group that is decided and not yet written.
#[derive(Default)]
struct Gathered {
    waiting: Vec<Waiting>,
    followed: Vec<oneshot::Sender<()>>,
}

/// Hands a command to the committer, unless too many wait already.
pub(crate) fn enqueue<A: Aggregate>(
    committer: &SyncSender<Work<A>>,
    request: Request<A>,
) -> Result<oneshot::Receiver<Result<Reply, Undecided>>, Undecided> {
    let (reply_to, reply) = oneshot::channel();
    let job = Work::Command(Box::new(Job { request, reply_to }));
    committer.try_send(job).map_err(|error| match error {
        TrySendError::Full(_) => Undecided::QueueFull,
        TrySendError::Disconnected(_) => Undecided::Stopping,
    })?;
    Ok(reply)
}

impl<A: Aggregate> Committer<A> {
    /// Works until told to stop.
    pub(crate) fn run(mut self) {
        while let Ok(first) = self.work.recv() {
            let (group, stop) = self.gather(first);
            let well = match self.commit(group) {
                Ok(()) => true,
                Err(error) => self.wait_until_well(&error),
            };
            if stop || !well {
                return;
            }
        }
    }

    fn gather(&self, first: Work<A>) -> (Vec<Work<A>>, bool) {
        let mut group = Vec::with_capacity(GROUP_COMMANDS_MAX);
        let mut next = Some(first);
        while let Some(work) = next {
            if matches!(work, Work::Stop) {
                return (group, true);
            }
            group.push(work);
            next = (group.len() < GROUP_COMMANDS_MAX).then(|| self.work.try_recv().ok()).flatten();
        }
        (group, false)
    }

    fn commit(&mut self, works: Vec<Work<A>>) -> Result<(), GroupError> {
        let store = Arc::clone(&self.store);
        let mut group = Group::new(&store, &self.counters, now_ms(&*self.ambient));
        let mut gathered = Gathered::default();
        let written =
            self.decide_all(&mut group, works, &mut gathered).and_then(|()| self.write(group, &gathered));
        self.answer(gathered, written.as_ref().err());
        written
    }

    fn decide_all(
        &mut self,
        group: &mut Group<'_>,
        works: Vec<Work<A>>,
        gathered: &mut Gathered,
    ) -> Result<(), GroupError> {
        let unsent = self.positions.unsent();
        let mut failure = None;
        for work in works {
            match work {
                Work::Command(job) => {
                    let Job { request, reply_to } = *job;
                    let reply = match &failure {
                        None => self.decide(group, &request, unsent),
                        Some(_) => Err(Stopped::Undecided(Undecided::Fault)),
                    };
                    match reply {
                        Ok(reply) => gathered.waiting.push((reply_to, Ok(reply))),
                        Err(Stopped::Undecided(undecided)) => {
                            gathered.waiting.push((reply_to, Err(undecided)))
                        }
                        Err(Stopped::Group(error)) => {
                            gathered.waiting.push((reply_to, Err(store_fails(&error))));
                            failure = Some(error);
                        }
                    }
                }
                Work::Follow { writes, done } => {
                    group.write(writes);
                    gathered.followed.push(done);
                }
                Work::Stop => {}
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn decide(&self, group: &mut Group<'_>, request: &Request<A>, unsent: u64) -> Result<Reply, Stopped> {
        if let Some(key) = &request.idempotency
            && let Some(remembered) = group.remembered(&key.hash)?
        {
            return match remembered.fingerprint == key.fingerprint {
                true => Ok(Reply { answer: remembered.answer, repeated: true }),
                false => Err(Undecided::KeyReused.into()),
            };
        }
        if unsent >= self.limits.unsent_events_max {
            return Err(Undecided::OutboxFull { unsent }.into());
        }
        // A panic in a domain's rule must not take the service with it; nothing has been changed by then.
        let decided = catch_unwind(AssertUnwindSafe(|| group.decide(request, &*self.ambient)));
        let change = decided.unwrap_or(Err(Stopped::Undecided(Undecided::Fault)))?;
        let answer = group.accept(change);
        if let Some(key) = &request.idempotency {
            group.remember(key, &answer, millis(self.limits.idempotency_age_max));
        }
        Ok(Reply { answer, repeated: false })
    }

    fn write(&mut self, mut group: Group<'_>, gathered: &Gathered) -> Result<(), GroupError> {
        if !gathered.waiting.is_empty() {
            let age_max_ms = millis(self.limits.idempotency_age_max);
            group.forget(self.forgetter.expired(&self.store, now_ms(&*self.ambient), age_max_ms)?);
        }
        let (writes, counters) = group.finish(&self.counters);
        if writes.is_empty() {
            return Ok(());
        }
        if gathered.waiting.is_empty() {
            return Ok(self.store.apply(writes)?);
        }
        let written = self.durability.begin();
        self.store.apply(writes)?;
        let began = Instant::now();
        self.store.sync()?;
        self.metrics.synced(began.elapsed());
        self.counters = counters;
        self.durability.reached(written);
        self.positions.set_durable(self.counters.iter().map(|counter| counter.next).collect());
        self.metrics.group(gathered.waiting.len());
        Ok(())
    }

    fn answer(&self, gathered: Gathered, failure: Option<&GroupError>) {
        for (reply_to, reply) in gathered.waiting {
            let reply = match (failure, reply) {
                (Some(error), Ok(_)) => Err(store_fails(error)),
                (_, reply) => reply,
            };
            self.metrics.command(outcome(&reply));
            // Nobody waits any more if the client has gone; the command stands all the same.
            let _ = reply_to.send(reply);
        }
        if failure.is_none() {
            // An error means that the follower has ended.
            for done in gathered.followed {
                let _ = done.send(());
            }
        }
    }

    /// Refuses everything until the store can be opened, and read, again: what it then holds counts. Returns false if the
    /// service stops before that.
    fn wait_until_well(&mut self, error: &GroupError) -> bool {
        tracing::error!(error = %error, "the store fails; commands are refused until it can be written again");
        self.metrics.store_failures.inc();
        self.durability.failed(error.to_string());
        loop {
            match self.reopen() {
                Ok(()) => break,
                Err(error) => tracing::error!(error = %error, "the store still fails"),
            }
            if !self.refuse_for(REOPEN_PAUSE, error) {
                return false;
            }
        }
        tracing::info!("the store can be written again");
        true
    }

    fn reopen(&mut self) -> Result<(), GroupError> {
        self.store.reopen()?;
        self.store.sync()?;
        self.counters = super::recorded::counters(&self.store, self.counters.len())?;
        self.durability.well_again();
        self.positions.set_durable(self.counters.iter().map(|counter| counter.next).collect());
        Ok(())
    }

    fn refuse_for(&self, pause: Duration, error: &GroupError) -> bool {
        let until = Instant::now() + pause;
        loop {
            match self.work.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Work::Command(job)) => drop(job.reply_to.send(Err(store_fails(error)))),
                Ok(Work::Follow { .. }) => {}
                Ok(Work::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => return true,
            }
        }
    }
}

fn store_fails(error: &GroupError) -> Undecided {
    Undecided::StoreFails { detail: error.to_string() }
}

fn outcome(reply: &Result<Reply, Undecided>) -> Outcome {
    match reply {
        Err(Undecided::KeyReused | Undecided::TooLarge { .. }) => Outcome::Rejected,
        Err(_) => Outcome::Unavailable,
        Ok(reply) if reply.repeated => Outcome::Repeated,
        Ok(reply) if reply.answer.status >= 400 => Outcome::Rejected,
        Ok(reply) if reply.answer.written.is_empty() => Outcome::Unchanged,
        Ok(_) => Outcome::Accepted,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
