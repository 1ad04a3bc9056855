//! The one thread that writes: takes what waits, decides it, appends it to the journal as one record, applies that to the
//! store, answers all.
//!
//! While one batch is appended, the next one gathers in the queue; so the number of commands per sync follows the load by
//! itself. Nothing is answered before its batch is durable, not even a rejection: it may rest on a command of the same
//! batch. And nothing is in the store before it is durable, so whatever reads the store shows nothing that can be lost.

pub(crate) mod batch;
mod change;
pub(crate) mod idempotency;
mod retention;
pub(crate) mod seal;
mod store_recovery;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use daybook_journal::{AppendError, Appended, Journal, Reader};
use daybook_service::fires;
use daybook_store::{Store, StoreError, Writes};
use retention::CHECK_PAUSE;
pub(crate) use retention::{Clock, Retiring};
pub(crate) use store_recovery::{HeldBack, fullness};
use store_recovery::{refuse, store_fails};
use tokio::sync::oneshot;

use crate::aggregate::Aggregate;
use crate::command::{CommandError, Job, Outcome, Reply, Request, precondition_failed};
use crate::commit::batch::{CommitBatch, DecideError, Finished};
use crate::commit::seal::{Ambient, now_ms};
use crate::follow::positions::FollowedPositions;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::outbox::positions::{Positions, Shut};
use crate::settings::Limits;
use crate::store::index::{self, CommitError, Syncing};
use crate::store::keys;
use crate::store::rows::{Counter, RowError};

/// Most commands in one batch: enough to make the sync cheap, few enough that the batch stays small for sled.
const BATCH_COMMANDS_MAX: usize = 256;
/// Bytes of a batch from which on the rest of what has gathered becomes another one: a record has twice as many at most,
/// and what the last command adds is far less.
const BATCH_BYTES_MAX: usize = daybook_journal::RECORD_BYTES_MAX / 2;

pub(crate) enum Work<A: Aggregate> {
    Command(Box<Job<A>>),
    /// Write rows followed from another topic, with their checkpoint. Nobody waits for their sync, and the journal has
    /// nothing of them: what is lost is followed again, from the checkpoint that is there then. Rows that rest on checkpoints of an earlier opening are dropped.
    Follow {
        opening: u64,
        writes: Writes,
        done: oneshot::Sender<()>,
    },
    /// Whoever follows cannot read its rows, as the store is in this opening: they are not what was written.
    Unreadable {
        opening: u64,
        error: RowError,
    },
    /// Stop once everything before this is done.
    Stop,
}

pub(crate) struct Committer<A: Aggregate> {
    pub(crate) store: Arc<Store>,
    pub(crate) counters: Vec<Counter>,
    pub(crate) positions: Arc<Positions>,
    pub(crate) health: Arc<Health>,
    pub(crate) journal: Journal,
    pub(crate) syncing: Arc<Syncing>,
    pub(crate) followed: Arc<FollowedPositions>,
    pub(crate) ambient: Arc<dyn Ambient>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
    pub(crate) work: Receiver<Work<A>>,
    pub(crate) reader: Reader,
    pub(crate) retiring: Retiring,
    pub(crate) clock: Clock,
    pub(crate) held_back: HeldBack,
    /// How often the index had what was not written to it.
    pub(crate) index_failures: u32,
    /// Why the index does not have what is in the journal.
    pub(crate) behind: Option<StoreError>,
}

type Waiting = (oneshot::Sender<Result<Reply, CommandError>>, Result<Reply, CommandError>);

#[derive(Default)]
struct Gathered {
    waiting: Vec<Waiting>,
    followed: Vec<oneshot::Sender<()>>,
}

pub(crate) fn enqueue<A: Aggregate>(
    committer: &SyncSender<Work<A>>,
    request: Request<A>,
) -> Result<oneshot::Receiver<Result<Reply, CommandError>>, CommandError> {
    let (reply_to, reply) = oneshot::channel();
    let job = Work::Command(Box::new(Job { request, reply_to }));
    committer.try_send(job).map_err(|error| match error {
        TrySendError::Full(_) => CommandError::QueueFull,
        TrySendError::Disconnected(_) => CommandError::Stopping,
    })?;
    Ok(reply)
}

impl<A: Aggregate> Committer<A> {
    /// Works until told to stop.
    pub(crate) fn run(mut self) -> Result<(), CommitError> {
        loop {
            let first = match self.work.recv_timeout(CHECK_PAUSE) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    self.retire();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let (batch, stop) = self.gather(first);
            let well = match self.commit(batch) {
                Ok(()) => {
                    self.retire();
                    true
                }
                Err(error) => self.wait_until_writable(error, stop)?,
            };
            if stop || !well {
                break;
            }
        }
        self.close()
    }

    /// Everything is on disk, and the next start has nothing to do again.
    fn close(mut self) -> Result<(), CommitError> {
        if let Err(error) = self.syncing.sync() {
            tracing::warn!(%error, "the store could not be synced at the end; the next start does again what it lacks");
        }
        self.journal.index_synced(self.syncing.synced());
        match self.journal.close(now_ms(&*self.ambient)) {
            // What was acknowledged is on disk; the next start reads more of it.
            Err(AppendError::NoRoom { .. } | AppendError::Unusable(_)) | Ok(()) => Ok(()),
            Err(error) => Err(CommitError::Journal(error)),
        }
    }

    fn gather(&self, first: Work<A>) -> (Vec<Work<A>>, bool) {
        let mut batch = Vec::with_capacity(BATCH_COMMANDS_MAX);
        let mut next = Some(first);
        while let Some(work) = next {
            if matches!(work, Work::Stop) {
                return (batch, true);
            }
            batch.push(work);
            next = (batch.len() < BATCH_COMMANDS_MAX).then(|| self.work.try_recv().ok()).flatten();
        }
        (batch, false)
    }

    fn commit(&mut self, works: Vec<Work<A>>) -> Result<(), CommitError> {
        let health = Arc::clone(&self.health);
        let _writing = health.writing();
        let mut works = works.into_iter();
        while works.len() > 0 {
            self.make_room_for_keys();
            let store = Arc::clone(&self.store);
            let journal = self.reader.clone();
            let now_ms = now_ms(&*self.ambient);
            let ahead_ms = self.clock.ahead_ms(now_ms, Instant::now());
            let mut batch =
                CommitBatch::new(&store, &journal, &self.counters, now_ms).with_clock_ahead(ahead_ms);
            let mut gathered = Gathered::default();
            let decided = self.decide_some(&mut batch, &mut works, &mut gathered);
            let written = decided.map_err(CommitError::from).and_then(|()| self.write(batch, &gathered));
            let behind = self.behind.take();
            if let Some(error) = &behind {
                // Before the answers: nobody must read what the index has now.
                self.health.failed(error.to_string());
            }
            self.answer(gathered, written.as_ref().err());
            let written = written.and(behind.map_or(Ok(()), |error| Err(error.into())));
            if let Err(error) = written {
                works.for_each(|work| refuse(work, &error));
                return Err(error);
            }
        }
        Ok(())
    }

    /// Decides what has gathered, as far as it fits into one record, and its keys beside those that are remembered.
    fn decide_some(
        &self,
        batch: &mut CommitBatch<'_>,
        works: &mut impl Iterator<Item = Work<A>>,
        gathered: &mut Gathered,
    ) -> Result<(), RowError> {
        let full = fullness(&self.limits, &self.positions, &self.reader);
        let shut = self.positions.shut(self.limits.unsent_events_max);
        let mut unreadable = None;
        while batch.bytes() < BATCH_BYTES_MAX
            && !batch.takes_last_key(self.limits.idempotency_keys_max)
            && let Some(work) = works.next()
        {
            match work {
                Work::Command(job) => {
                    let reply = match &unreadable {
                        None => self.decide(batch, &job.request, full.as_ref(), &shut),
                        Some(error) => Err(DecideError::Command(store_fails(error))),
                    };
                    let reply = reply.map_err(|stopped| match stopped {
                        DecideError::Command(refused) => refused,
                        DecideError::Store(error) => {
                            let error = error.into();
                            // It costs who needs it, and nobody else.
                            if self.leaves(&error) {
                                store_fails(&error)
                            } else {
                                store_fails(unreadable.insert(error))
                            }
                        }
                    });
                    gathered.waiting.push((job.reply_to, reply));
                }
                Work::Follow { opening, writes, done } if opening == self.followed.opening() => {
                    batch.write(writes);
                    gathered.followed.push(done);
                }
                Work::Unreadable { opening, error }
                    if opening == self.followed.opening() && !self.leaves(&error) =>
                {
                    unreadable = Some(error);
                }
                Work::Follow { .. } | Work::Unreadable { .. } | Work::Stop => {}
            }
        }
        unreadable.map_or(Ok(()), Err)
    }

    /// Whether what cannot be read is left: the index could not be built again.
    fn leaves(&self, error: &RowError) -> bool {
        self.store.is_all_there_is() && error.is_damage()
    }

    fn decide(
        &self,
        batch: &mut CommitBatch<'_>,
        request: &Request<A>,
        full: Option<&CommandError>,
        shut: &Shut,
    ) -> Result<Reply, DecideError> {
        if let Some(key) = &request.idempotency
            && let Some(remembered) = batch.remembered(key)?
            && !fires("decide-twice")
        {
            return match remembered.fingerprint.is_of(key) {
                true => Ok(Reply { outcome: remembered.outcome, repeated: true }),
                false => Err(CommandError::KeyReused.into()),
            };
        }
        if let Some(by) = self.positions.fenced() {
            return Err(CommandError::Fenced { by }.into());
        }
        if let Some(full) = full {
            return Err(full.clone().into());
        }
        if request.idempotency.is_some() && batch.keys() >= self.limits.idempotency_keys_max {
            return Err(CommandError::KeysFull { kept: batch.keys() }.into());
        }
        // A panic in a domain's rule must not take the service with it; nothing has been changed by then.
        let decided =
            catch_unwind(AssertUnwindSafe(|| batch.decide(request, &self.followed, &*self.ambient)));
        let change = decided.unwrap_or(Err(DecideError::Command(CommandError::Fault)))?;
        let is_provisional = change.is_provisional;
        // What is refused of a new aggregate rests on no state of this service.
        let is_kept = request.idempotency.is_some() && !request.is_fresh;
        let mut outcome = batch.accept(change.admit(shut, is_kept)?);
        if !outcome.written().is_empty() && fires("refuse-and-do") {
            outcome = Outcome::Rejected(precondition_failed(0));
        }
        if fires("end-unasked") {
            std::process::abort();
        }
        if let Some(key) = request.idempotency.as_ref().filter(|_| !is_provisional) {
            batch.remember(key, &outcome, millis(self.limits.idempotency_age_max));
        }
        Ok(Reply { outcome, repeated: false })
    }

    fn write(&mut self, batch: CommitBatch<'_>, gathered: &Gathered) -> Result<(), CommitError> {
        let Finished { followed, decided, counters } = batch.finish(&self.counters);
        if !followed.is_empty() {
            self.follow(followed)?;
        }
        if decided.events.is_empty() && decided.writes.is_empty() && decided.keys.is_empty() {
            return Ok(());
        }
        if fires("skip-sync") {
            self.held_back.hold(&self.store, decided)?;
            self.counters = counters;
            return Ok(());
        }
        for held in self.held_back.take() {
            self.append(held)?;
        }
        self.append(decided)?;
        self.counters = counters;
        self.positions.set_durable(self.counters.iter().map(|counter| counter.next).collect());
        self.metrics.group(gathered.waiting.len());
        Ok(())
    }

    /// Writes rows that were followed, then their checkpoints: a batch that fails on its way may be there in part.
    fn follow(&self, followed: Writes) -> Result<(), CommitError> {
        self.syncing.wait_for_room()?;
        let (checkpoints, rows) = followed.into_iter().partition(|(key, _)| keys::is_checkpoint(key));
        self.store.apply(rows)?;
        self.store.apply(checkpoints)?;
        self.syncing.applied(0);
        Ok(())
    }

    /// Brings a batch to the disk as a record of the journal, then into the store. It is decided once the journal has it: what
    /// the store does not take is done again there before anything else is.
    fn append(&mut self, decided: daybook_journal::Group) -> Result<(), CommitError> {
        self.syncing.wait_for_room()?;
        let began = Instant::now();
        self.journal.index_synced(self.syncing.synced());
        let Appended { number, writes } = self.journal.append_for_index(decided, now_ms(&*self.ambient))?;
        self.metrics.synced(began.elapsed());
        match index::apply(&self.store, number, self.journal.id(), index::batch(writes)) {
            Ok(()) => self.syncing.applied(number),
            Err(error) => self.behind = Some(error),
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
