//! Where the partitions of the own topic stand: how far they are durable here, how far Kafka has acknowledged them, and what
//! those who wait for it find: the relay, and those who must hear that another writer is in force.
//!
//! The committer moves the durable end, the relay's deliveries move the acknowledged prefix, and both wake those who wait
//! for it. The relay sees nothing that is not durable: an event in Kafka that its own service forgets in a power cut
//! would look like an event of another writer.

mod partition;
mod shut;
mod state;

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use daybook_kafka::partition_for_key;
use partition::Partition;
pub(crate) use shut::Shut;
use state::State;
use tokio::sync::watch;
use uuid::Uuid;

use crate::command::Written;
use crate::fencing::{Claimed, Fenced, Unexplained};

#[derive(Debug)]
pub(crate) struct Positions {
    state: Mutex<State>,
    changed: Condvar,
    acknowledged: Vec<watch::Sender<u64>>,
    fenced: watch::Sender<Option<Fenced>>,
}

impl Positions {
    /// `noted` is what the journal knows to be acknowledged. What the log has, a comparison must tell first: until then no
    /// partition takes events.
    pub(crate) fn new(durable: Vec<u64>, noted: Vec<u64>) -> Self {
        let senders = noted.iter().map(|acknowledged| watch::Sender::new(*acknowledged)).collect();
        let mut state = State::new(&durable, &noted);
        state.set_durable(&durable, Instant::now());
        let fenced = watch::Sender::new(None);
        Self { state: Mutex::new(state), changed: Condvar::new(), acknowledged: senders, fenced }
    }

    pub(crate) fn set_durable(&self, ends: Vec<u64>) {
        self.lock().set_durable(&ends, Instant::now());
        self.changed.notify_all();
    }

    /// Whether a position of the own topic is on disk here; none if there is no such partition.
    pub(crate) fn has(&self, partition: i32, position: u64) -> Option<bool> {
        let state = self.lock();
        let partition = state.partitions.get(usize::try_from(partition).ok()?)?;
        Some(position < partition.durable)
    }

    /// The last position that is on disk of the partition of a record key.
    pub(crate) fn last_durable(&self, key: Uuid) -> Option<Written> {
        // Partition counts are bounded far below both types' ends.
        let partition = partition_for_key(key.to_string().as_bytes(), self.count() as i32);
        let position = self.lock().partitions.get(partition as usize)?.durable.checked_sub(1)?;
        Some(Written { partition, position })
    }

    /// Journal and log were compared: this is what the log has, whatever was acknowledged before. Of partitions that nobody
    /// answers for (none) nothing changes.
    pub(crate) fn set_acknowledged(&self, in_log: &[Option<u64>]) {
        self.lock().set_acknowledged(in_log, Instant::now());
        for (sender, in_log) in self.acknowledged.iter().zip(in_log) {
            if let Some(in_log) = in_log {
                sender.send_replace(*in_log);
            }
        }
    }

    /// Journal and log were compared: these partitions end here, with what does not fit. They take nothing until a comparison
    /// finds that they do.
    pub(crate) fn set_diverged(&self, ends: &BTreeMap<usize, i64>) {
        self.lock().set_diverged(ends);
    }

    /// The log may no longer be what it was: the present writer must not write on.
    pub(crate) fn distrust_log(&self, partition: i32, reason: String) {
        self.fail(self.lock(), Failure { partition: Some(partition), reason });
    }

    /// The relay begins with a new writer; deliveries of earlier ones are ignored from here on.
    pub(crate) fn begin_session(&self) -> u64 {
        self.lock().begin_session()
    }

    /// The relay has claimed its partitions: its records land behind its claims, one after the other.
    pub(crate) fn claimed(&self, claimed: &Claimed) {
        self.lock().claimed(claimed, Instant::now());
    }

    /// The relay is about to send an event, or could not.
    pub(crate) fn sending(&self, partition: usize, events: i64) {
        if let Some(expected) = &mut self.lock().partitions[partition].expected {
            expected.in_flight += events;
        }
    }

    /// The watch: a partition ends here. More than the present writer has sent is another writer's, and is read by the relay.
    pub(crate) fn check_end(&self, partition: usize, end: i64) {
        let mut state = self.lock();
        if state.ends(partition, end) {
            drop(state);
            self.changed.notify_all();
        }
    }

    /// The relay: what lies there was read, and leaves its writer in force; its own records lie at `own`. Returns how many
    /// acknowledgements count by that.
    pub(crate) fn explain(&self, session: u64, read: &Unexplained, own: &[i64]) -> usize {
        let mut state = self.lock();
        let partition = i32::try_from(read.partition).ok();
        match state.explain(session, read, own, Instant::now()) {
            Ok(taken) => {
                let acknowledged = state.partitions[read.partition].acknowledged;
                drop(state);
                self.acknowledged[read.partition].send_replace(acknowledged);
                self.changed.notify_all();
                taken
            }
            Err(reason) => {
                self.fail(state, Failure { partition, reason });
                0
            }
        }
    }

    /// A record was acknowledged. Returns whether it moved the prefix.
    pub(crate) fn delivered(&self, session: u64, partition: i32, position: u64, offset: i64) -> bool {
        let Ok(index) = usize::try_from(partition) else { return false };
        let mut state = self.lock();
        match state.delivered(session, index, position, offset, Instant::now()) {
            Ok(true) => {}
            Ok(false) => {
                if state.partitions.get(index).is_some_and(|partition| partition.unexplained.is_some()) {
                    self.changed.notify_all();
                }
                return false;
            }
            Err(reason) => {
                self.fail(state, Failure { partition: Some(partition), reason });
                return false;
            }
        }
        let wake = state.is_awaited(index);
        drop(state);
        self.acknowledged[index].send_replace(position + 1);
        if wake {
            self.changed.notify_all();
        }
        true
    }

    pub(crate) fn delivery_failed(&self, session: u64, failure: Failure) {
        let state = self.lock();
        if state.session == session {
            self.fail(state, failure);
        }
    }

    /// The relay: nothing more can be sent of a partition, until the process is started again.
    pub(crate) fn halt(&self, partition: usize, reason: String) {
        self.lock().partitions[partition].rest = Some(Rest::Halted(reason));
    }

    /// Why nothing more can be sent of some partitions, if that is so.
    pub(crate) fn halted(&self) -> Option<String> {
        let reasons: Vec<String> = self.lock().partitions.iter().filter_map(Partition::halted).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// The relay: this is why nothing gets through at present, of a partition or at all.
    pub(crate) fn set_trouble(&self, trouble: Failure) {
        self.lock().trouble = Some(trouble);
    }

    /// The watch: nobody answers for these partitions at present. One that the relay does without, and that is back, is claimed.
    pub(crate) fn set_unanswered(&self, unanswered: BTreeMap<usize, String>) {
        if self.lock().set_unanswered(unanswered, Instant::now()) {
            self.changed.notify_all();
        }
    }

    /// The watch: this is wrong with the topic, or nothing any more.
    pub(crate) fn set_log_fault(&self, fault: Option<String>) {
        self.lock().log_fault = fault;
    }

    /// Why events do not get through to Kafka at present, as far as that is known.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.lock().trouble(Instant::now())
    }

    /// How many partitions have acknowledged nothing for long, although something of them waits.
    pub(crate) fn stalled(&self) -> usize {
        self.lock().stalled(Instant::now()).len()
    }

    /// Of how many partitions nothing is sent until an operator mends what is wrong: they are halted, or do not fit.
    pub(crate) fn halted_partitions(&self) -> usize {
        self.lock().halted()
    }

    fn fail(&self, mut state: MutexGuard<'_, State>, failure: Failure) {
        state.failed.get_or_insert(failure);
        drop(state);
        self.changed.notify_all();
    }

    pub(crate) fn count(&self) -> usize {
        self.acknowledged.len()
    }

    pub(crate) fn unsent(&self) -> u64 {
        self.lock().unsent()
    }

    /// Completes when Kafka has acknowledged all that was written.
    pub(crate) async fn acknowledged(&self, written: &[Written]) {
        for at in written {
            let sender = usize::try_from(at.partition).ok().and_then(|index| self.acknowledged.get(index));
            let Some(sender) = sender else { continue };
            // The sender lives in `self`, so waiting cannot fail.
            let _ = sender.subscribe().wait_for(|acknowledged| *acknowledged > at.position).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing more can be, until the process is started again.
    Halted(String),
    /// Nobody answered for it when the present writer claimed, or what it holds does not fit.
    Away(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The partition that it is about, if it is about one.
    pub(crate) partition: Option<i32>,
    pub(crate) reason: String,
}

impl Failure {
    /// Whether it is about this partition, or about none in particular.
    fn is_about(&self, partition: usize) -> bool {
        self.partition.is_none_or(|about| usize::try_from(about) == Ok(partition))
    }
}

#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) durable: Vec<u64>,
    pub(crate) acknowledged: Vec<u64>,
    /// Epoch of the present writer.
    pub(crate) epoch: u32,
    /// Per partition: the offset right behind the last event that it has sent, if it has sent any.
    pub(crate) behind: Vec<Option<i64>>,
    pub(crate) session: u64,
    /// What another writer has written among its records, and is to be read.
    pub(crate) unexplained: Option<Unexplained>,
    /// Why the present writer is unusable.
    pub(crate) failed: Option<Failure>,
    /// A partition that was away when the present writer claimed, and is back.
    pub(crate) returned: Option<usize>,
    pub(crate) resting: BTreeMap<usize, Rest>,
    /// Partitions that have acknowledged nothing for long although the present writer sends to them, and for how long.
    pub(crate) stalled: BTreeMap<usize, Duration>,
    /// Kafka has all that can be sent.
    pub(crate) is_drained: bool,
    /// The service stops: continue until then, or until everything is acknowledged.
    pub(crate) stop_by: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait<'a> {
    pub(crate) sent: &'a [u64],
    /// Sent of one partition and not acknowledged: from this many on it must wait for deliveries of it.
    pub(crate) in_flight_max: u64,
    /// The snapshot is taken after this time even so.
    pub(crate) timeout: Duration,
}

impl Snapshot {
    /// Whether Kafka takes events since these were acknowledged: it took some, or nothing waits of what it can be sent.
    pub(crate) fn takes_events_since(&self, acknowledged: &[u64]) -> bool {
        let takes_none = self.resting.len() == self.durable.len();
        distance(acknowledged, &self.acknowledged) > 0 || self.is_drained && !takes_none
    }
}

/// How far `to` is ahead of `from`, over all partitions.
pub(crate) fn distance(from: &[u64], to: &[u64]) -> u64 {
    from.iter().zip(to).map(|(from, to)| to.saturating_sub(*from)).sum()
}

impl Positions {
    /// The service stops: the relay goes on until everything is acknowledged, at the latest until `by`.
    pub(crate) fn stop(&self, by: Instant) {
        self.lock().stop_by = Some(by);
        self.changed.notify_all();
    }

    /// Whether the service stops, and its time is over or Kafka has all that can be sent.
    pub(crate) fn is_over(&self) -> bool {
        self.lock().is_over(Instant::now())
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.lock().snapshot(Instant::now())
    }

    pub(crate) fn wait(&self, wait: Wait<'_>) -> Snapshot {
        let deadline = Instant::now() + wait.timeout;
        let mut state = self.lock();
        let limits = state.begin_waiting(wait);
        while !state.something_to_do(wait, &limits) {
            let left = state.time_left(deadline, Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.partitions.iter_mut().for_each(|partition| partition.is_awaited = false);
        state.snapshot(Instant::now())
    }

    /// Waits for the time of `pause`, but not beyond the time by which the service stops, nor with nothing to send at a stop.
    pub(crate) fn pause(&self, pause: Duration) {
        let deadline = Instant::now() + pause;
        let mut state = self.lock();
        loop {
            let left = state.time_left(deadline, Instant::now());
            if left.is_zero() || state.is_over(Instant::now()) {
                return;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the stop, at most so long; returns whether it has been asked for.
    pub(crate) fn wait_for_stop(&self, timeout: Duration) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, timeout, |state| state.stop_by.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.stop_by.is_some()
    }
}

impl Positions {
    /// Another writer is in force: this is what the log has of our own, and it will not have more; of partitions that nobody
    /// answers for it is not known.
    pub(crate) fn set_last_acknowledged(&self, own_ends: impl Iterator<Item = Option<u64>>) {
        let snapshot = self.snapshot();
        let ends = own_ends.zip(snapshot.acknowledged.iter().zip(&snapshot.durable));
        let last = |(end, (acknowledged, durable)): (Option<u64>, (&u64, &u64))| {
            end.map(|end| end.clamp(*acknowledged, *durable))
        };
        self.set_acknowledged(&ends.map(last).collect::<Vec<_>>());
    }

    /// Another writer is in force: nothing is accepted any more, and nobody waits for an acknowledgement.
    pub(crate) fn set_fenced(&self, fenced: Fenced) {
        self.fenced.send_replace(Some(fenced));
    }

    pub(crate) fn fenced(&self) -> Option<Fenced> {
        self.fenced.borrow().clone()
    }

    pub(crate) async fn until_fenced(&self) -> Fenced {
        let mut watching = self.fenced.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        match watching.wait_for(Option::is_some).await.map(|found| found.clone()) {
            Ok(Some(fenced)) => fenced,
            _ => std::future::pending().await,
        }
    }
}
