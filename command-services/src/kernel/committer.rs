//! The one thread that writes the store: takes what waits, decides it, writes it as one batch, syncs once, answers all.
//!
//! While one group syncs, the next one gathers in the queue; so the number of commands per sync follows the load by
//! itself. Nothing is answered before its group is durable, not even a rejection: it may rest on a command of the same
//! group.

mod failing;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use event_log::sabotage::{self, Fault};
use tokio::sync::oneshot;

use super::aggregate::Aggregate;
use super::ambient::{Ambient, now_ms};
use super::command::{Job, Reply, Request, Undecided, version_conflict};
use super::durability::Durability;
use super::followed::FollowedPositions;
use super::group::{Group, GroupError, Stopped};
use super::idempotency::Forgetter;
use super::integrity::{Attempt, IntegrityError};
use super::metrics::{CountedAs, Metrics};
use super::outcome::Outcome;
use super::positions::Positions;
use super::rows::Counter;
use super::settings::Limits;
use super::store::{SYNC_PAUSE, Store, Writes};

/// Most commands in one group: enough to make the sync cheap, few enough that the batch stays small for sled.
const GROUP_COMMANDS_MAX: usize = 256;

/// What the committer is asked to do.
pub(crate) enum Work<A: Aggregate> {
    /// Decide a command.
    Command(Box<Job<A>>),
    /// Write rows followed from another topic, with their checkpoint. Nobody waits for their sync: what is lost is followed
    /// again, from the checkpoint that is there then. Rows that rest on checkpoints of an earlier opening are dropped.
    Follow { opening: u64, writes: Writes, done: oneshot::Sender<()> },
    /// Stop once everything before this is done.
    Stop,
}

/// What the committer works with.
pub(crate) struct Committer<A: Aggregate> {
    pub(crate) store: Arc<Store>,
    pub(crate) counters: Vec<Counter>,
    pub(crate) positions: Arc<Positions>,
    pub(crate) durability: Arc<Durability>,
    pub(crate) followed: Arc<FollowedPositions>,
    pub(crate) ambient: Arc<dyn Ambient>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
    pub(crate) work: Receiver<Work<A>>,
    pub(crate) forgetter: Forgetter,
    /// The batch that is being applied, or that could not be.
    pub(crate) attempt: Option<Attempt>,
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
    ///
    /// # Errors
    /// The store failed, and what it is now must not be gone on with.
    pub(crate) fn run(mut self) -> Result<(), IntegrityError> {
        loop {
            let (group, stop) = match self.work.recv_timeout(SYNC_PAUSE) {
                Ok(first) => self.gather(first),
                // Something may have to be synced.
                Err(RecvTimeoutError::Timeout) => (Vec::new(), false),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            let well = match self.commit(group) {
                Ok(()) => true,
                Err(error) => self.wait_until_well(&error, stop)?,
            };
            if stop || !well {
                return Ok(());
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
        &self,
        group: &mut Group<'_>,
        works: Vec<Work<A>>,
        gathered: &mut Gathered,
    ) -> Result<(), GroupError> {
        let unsent = self.positions.unsent();
        let mut unreadable = None;
        for work in works {
            match work {
                Work::Command(job) => {
                    let reply = match &unreadable {
                        None => self.decide(group, &job.request, unsent),
                        Some(error) => Err(Stopped::Undecided(store_fails(error))),
                    };
                    let reply = reply.map_err(|stopped| match stopped {
                        Stopped::Undecided(undecided) => undecided,
                        Stopped::Store(error) => store_fails(unreadable.insert(error.into())),
                    });
                    gathered.waiting.push((job.reply_to, reply));
                }
                Work::Follow { opening, writes, done } if opening == self.followed.opening() => {
                    group.write(writes);
                    gathered.followed.push(done);
                }
                Work::Follow { .. } | Work::Stop => {}
            }
        }
        unreadable.map_or(Ok(()), Err)
    }

    fn decide(&self, group: &mut Group<'_>, request: &Request<A>, unsent: u64) -> Result<Reply, Stopped> {
        if let Some(key) = &request.idempotency
            && let Some(remembered) = group.remembered(key)?
            && !sabotage::strikes(Fault::DecideTwice)
        {
            return match remembered.fingerprint.is_of(key) {
                true => Ok(Reply { outcome: remembered.outcome, repeated: true }),
                false => Err(Undecided::KeyReused.into()),
            };
        }
        if let Some(by) = self.positions.superseded() {
            return Err(Undecided::Superseded { by }.into());
        }
        if unsent >= self.limits.unsent_events_max {
            return Err(Undecided::OutboxFull { unsent }.into());
        }
        if request.idempotency.is_some() && self.forgetter.is_full(group.keys().0) {
            return Err(Undecided::KeysFull { kept: self.forgetter.kept() }.into());
        }
        // A panic in a domain's rule must not take the service with it; nothing has been changed by then.
        let decided =
            catch_unwind(AssertUnwindSafe(|| group.decide(request, &self.followed, &*self.ambient)));
        let change = decided.unwrap_or(Err(Stopped::Undecided(Undecided::Fault)))?;
        let mut outcome = group.accept(change);
        if !outcome.written().is_empty() && sabotage::strikes(Fault::RefuseAndDo) {
            outcome = Outcome::Rejected(version_conflict(0));
        }
        if sabotage::strikes(Fault::EndUnasked) {
            std::process::abort();
        }
        if let Some(key) = &request.idempotency {
            group.remember(key, &outcome, millis(self.limits.idempotency_age_max))?;
        }
        Ok(Reply { outcome, repeated: false })
    }

    fn write(&mut self, mut group: Group<'_>, gathered: &Gathered) -> Result<(), GroupError> {
        if !gathered.waiting.is_empty() {
            group.forget(self.forgetter.forgettable(&self.store, now_ms(&*self.ambient))?);
        }
        let (keys_new, keys_forgotten) = group.keys();
        let (writes, counters) = group.finish(&self.counters);
        if gathered.waiting.is_empty() {
            self.apply(writes)?;
            return if self.store.is_sync_due() { self.sync() } else { Ok(()) };
        }
        if writes.is_empty() {
            return Ok(());
        }
        let written = self.durability.begin();
        self.apply(writes)?;
        if !sabotage::strikes(Fault::SkipSync) {
            self.sync()?;
        }
        self.counters = counters;
        self.forgetter.written(keys_new, keys_forgotten);
        self.durability.reached(written);
        self.positions.set_durable(self.counters.iter().map(|counter| counter.next).collect());
        self.metrics.group(gathered.waiting.len());
        Ok(())
    }

    fn apply(&mut self, writes: Writes) -> Result<(), GroupError> {
        if writes.is_empty() {
            return Ok(());
        }
        self.attempt = Some(Attempt::of(&self.store, &writes)?);
        self.store.apply(writes)?;
        self.attempt = None;
        Ok(())
    }

    fn sync(&self) -> Result<(), GroupError> {
        let began = Instant::now();
        self.store.sync()?;
        self.metrics.synced(began.elapsed());
        Ok(())
    }

    fn answer(&self, gathered: Gathered, failure: Option<&GroupError>) {
        for (reply_to, reply) in gathered.waiting {
            let reply = match (failure, reply) {
                (Some(error), Ok(_)) => Err(store_fails(error)),
                (_, reply) => reply,
            };
            self.metrics.command(counted_as(&reply));
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
}

fn store_fails(error: &GroupError) -> Undecided {
    Undecided::StoreFails { detail: error.to_string() }
}

fn counted_as(reply: &Result<Reply, Undecided>) -> CountedAs {
    match reply {
        Err(Undecided::KeyReused | Undecided::TooLarge { .. }) => CountedAs::Rejected,
        Err(_) => CountedAs::Unavailable,
        Ok(reply) if reply.repeated => CountedAs::Repeated,
        Ok(Reply { outcome: Outcome::Rejected(_), .. }) => CountedAs::Rejected,
        Ok(Reply { outcome: Outcome::Accepted(accepted), .. }) if accepted.written.is_empty() => {
            CountedAs::Unchanged
        }
        Ok(_) => CountedAs::Accepted,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
