//! Where the partitions of the own topic stand: how far they are durable here, how far Kafka has acknowledged them.
//!
//! The committer moves the durable end, the relay's deliveries move the acknowledged prefix, and both wake whoever waits
//! for it. The relay sees nothing that is not durable: an event in Kafka that its own service forgets in a power cut
//! would look like an event of somebody else.

mod shut_out;
mod state;
mod waiting;

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::outcome::Written;
use super::writer::{Claimed, Lying, Superseded};
use state::State;
pub(crate) use state::{Failure, Look, Wait, distance};

/// Positions of all partitions of the own topic.
#[derive(Debug)]
pub(crate) struct Positions {
    state: Mutex<State>,
    changed: Condvar,
    acknowledged: Vec<watch::Sender<u64>>,
    superseded: watch::Sender<Option<Superseded>>,
}

impl Positions {
    pub(crate) fn new(durable: Vec<u64>, acknowledged: Vec<u64>) -> Self {
        let senders = acknowledged.iter().map(|acknowledged| watch::Sender::new(*acknowledged)).collect();
        let state = Mutex::new(State::new(durable, acknowledged));
        let superseded = watch::Sender::new(None);
        Self { state, changed: Condvar::new(), acknowledged: senders, superseded }
    }

    /// The committer: everything before `ends` is on disk.
    pub(crate) fn set_durable(&self, ends: Vec<u64>) {
        self.lock().durable = ends;
        self.changed.notify_all();
    }

    /// The relay has compared store and log: this is what the log has, whatever was acknowledged before.
    pub(crate) fn set_acknowledged(&self, acknowledged: &[u64]) {
        let mut state = self.lock();
        state.acknowledged.copy_from_slice(acknowledged);
        state.trouble = None;
        drop(state);
        for (sender, acknowledged) in self.acknowledged.iter().zip(acknowledged) {
            sender.send_replace(*acknowledged);
        }
    }

    /// The log may no longer be what it was: the present writer must not write on.
    pub(crate) fn distrust_log(&self, partition: i32, reason: String) {
        self.fail(self.lock(), Failure { partition: Some(partition), reason });
    }

    /// The relay begins with a new writer; deliveries of earlier ones are ignored from here on.
    pub(crate) fn begin_session(&self) -> u64 {
        self.lock().begin_session()
    }

    /// The relay has claimed its partitions: its records come to lie behind its claims, one after the other.
    pub(crate) fn claimed(&self, claimed: &Claimed) {
        self.lock().lying = Lying::behind(claimed);
    }

    /// The relay is about to send an event, or could not.
    pub(crate) fn sending(&self, partition: usize, events: i64) {
        self.lock().lying.sending(partition, events);
    }

    /// The watch: a partition ends here. More than the present writer has sent is somebody else's.
    pub(crate) fn check_end(&self, partition: usize, end: i64) {
        let state = self.lock();
        if let Some(fault) = state.end_fault(partition, end) {
            self.fail(state, Failure { partition: i32::try_from(partition).ok(), reason: fault });
        }
    }

    /// A record was acknowledged. Returns whether it moved the prefix.
    pub(crate) fn delivered(&self, session: u64, partition: i32, position: u64, offset: i64) -> bool {
        let Ok(index) = usize::try_from(partition) else { return false };
        let mut state = self.lock();
        match state.delivered(session, index, position, offset) {
            Ok(true) => {}
            Ok(false) => return false,
            Err(reason) => {
                self.fail(state, Failure { partition: Some(partition), reason });
                return false;
            }
        }
        let wake = state.relay_waits_for_deliveries;
        drop(state);
        self.acknowledged[index].send_replace(position + 1);
        if wake {
            self.changed.notify_all();
        }
        true
    }

    /// A record was refused, or the writer failed.
    pub(crate) fn delivery_failed(&self, session: u64, failure: Failure) {
        let state = self.lock();
        if state.session == session {
            self.fail(state, failure);
        }
    }

    /// The relay: nothing more can be sent of a partition, until the process is started anew.
    pub(crate) fn halt(&self, partition: usize, reason: String) {
        self.lock().halted.insert(partition, reason);
    }

    /// Why nothing more can be sent of some partitions, if that is so.
    pub(crate) fn halted(&self) -> Option<String> {
        let reasons: Vec<String> = self.lock().halted.values().cloned().collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// The relay: this is why nothing gets through at present.
    pub(crate) fn set_trouble(&self, trouble: String) {
        self.lock().trouble = Some(trouble);
    }

    /// The watch: this is wrong with the topic, or nothing any more.
    pub(crate) fn set_log_fault(&self, fault: Option<String>) {
        self.lock().log_fault = fault;
    }

    /// Why nothing gets through to Kafka at present, if the relay knows; else what is wrong with the topic.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.lock().trouble()
    }

    fn fail(&self, mut state: MutexGuard<'_, State>, failure: Failure) {
        state.failed.get_or_insert(failure);
        drop(state);
        self.changed.notify_all();
    }

    /// Events that Kafka has not acknowledged.
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
