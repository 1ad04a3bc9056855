//! Where the partitions of the own topic stand: how far they are durable here, how far Kafka has acknowledged them.
//!
//! The committer moves the durable end, the relay's deliveries move the acknowledged prefix, and both wake whoever waits
//! for it. The relay sees nothing that is not durable: an event in Kafka that its own service forgets in a power cut
//! would look like an event of somebody else.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::answer::Written;
use super::keep::Places;
use super::writer::{Claimed, Lying, Superseded};

/// Positions of all partitions of the own topic.
#[derive(Debug)]
pub(crate) struct Positions {
    state: Mutex<State>,
    changed: Condvar,
    acknowledged: Vec<watch::Sender<u64>>,
    superseded: watch::Sender<Option<Superseded>>,
}

#[derive(Debug, Clone)]
struct State {
    durable: Vec<u64>,
    acknowledged: Vec<u64>,
    /// Deliveries of an earlier writer no longer count.
    session: u64,
    /// Where the present writer's records come to lie.
    lying: Lying,
    failed: Option<String>,
    /// What the relay met last, until Kafka acknowledges something again.
    trouble: Option<String>,
    /// What is wrong with the topic itself, as long as it is.
    log_fault: Option<String>,
    relay_waits_for_deliveries: bool,
    stop_by: Option<Instant>,
}

/// What the relay finds when it looks.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) durable: Vec<u64>,
    pub(crate) acknowledged: Vec<u64>,
    /// Where the last acknowledged events lie.
    pub(crate) places: Places,
    /// Why the present writer is of no more use.
    pub(crate) failed: Option<String>,
    /// The service stops: go on until then, or until everything is acknowledged.
    pub(crate) stop_by: Option<Instant>,
}

/// What the relay waits for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait<'a> {
    /// Up to where it has sent.
    pub(crate) sent: &'a [u64],
    /// Sent and not acknowledged: from this many on it must wait for deliveries.
    pub(crate) in_flight_max: u64,
    /// Look again after this time even so.
    pub(crate) timeout: Duration,
}

impl Positions {
    pub(crate) fn new(durable: Vec<u64>, acknowledged: Vec<u64>) -> Self {
        let senders = acknowledged.iter().map(|acknowledged| watch::Sender::new(*acknowledged)).collect();
        let state = State {
            durable,
            acknowledged,
            session: 0,
            lying: Lying::default(),
            failed: None,
            trouble: None,
            log_fault: None,
            relay_waits_for_deliveries: false,
            stop_by: None,
        };
        let superseded = watch::Sender::new(None);
        Self { state: Mutex::new(state), changed: Condvar::new(), acknowledged: senders, superseded }
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
    pub(crate) fn distrust_log(&self, reason: String) {
        self.fail(self.lock(), reason);
    }

    /// The relay begins with a new writer; deliveries of earlier ones are ignored from here on.
    pub(crate) fn begin_session(&self) -> u64 {
        let mut state = self.lock();
        state.session += 1;
        state.failed = None;
        state.lying = Lying::default();
        state.session
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
        if let Some(most) = state.lying.end_max(partition).filter(|most| end > *most) {
            let reason = format!(
                "partition {partition} ends at offset {end}, and at {most} with all that was sent: somebody else writes it"
            );
            self.fail(state, reason);
        }
    }

    /// Another writer is in force: this is what the log has of our own, and it will not have more.
    pub(crate) fn set_last_acknowledged(&self, own_ends: impl Iterator<Item = u64>) {
        let look = self.look();
        let ends = own_ends.zip(look.acknowledged.iter().zip(&look.durable));
        let ends: Vec<u64> =
            ends.map(|(end, (acknowledged, durable))| end.clamp(*acknowledged, *durable)).collect();
        self.set_acknowledged(&ends);
    }

    /// Another writer is in force: nothing is accepted any more, and nobody waits for an acknowledgement.
    pub(crate) fn set_superseded(&self, superseded: Superseded) {
        self.superseded.send_replace(Some(superseded));
    }

    /// The writer that is in force in the place of this process.
    pub(crate) fn superseded(&self) -> Option<Superseded> {
        self.superseded.borrow().clone()
    }

    /// Completes when another writer is in force.
    pub(crate) async fn until_superseded(&self) -> Superseded {
        let mut watching = self.superseded.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        match watching.wait_for(Option::is_some).await.map(|found| found.clone()) {
            Ok(Some(superseded)) => superseded,
            _ => std::future::pending().await,
        }
    }

    /// A record was acknowledged. Returns whether it moved the prefix.
    pub(crate) fn delivered(&self, session: u64, partition: i32, position: u64, offset: i64) -> bool {
        let Ok(index) = usize::try_from(partition) else { return false };
        let mut state = self.lock();
        if state.session != session {
            return false;
        }
        let expected = state.acknowledged.get(index).copied();
        if expected != Some(position) {
            let reason = format!("partition {partition} acknowledged position {position} out of order");
            self.fail(state, reason);
            return false;
        }
        if let Err(reason) = state.lying.delivered(index, offset) {
            self.fail(state, reason);
            return false;
        }
        state.acknowledged[index] = position + 1;
        state.trouble = None;
        let wake = state.relay_waits_for_deliveries;
        drop(state);
        self.acknowledged[index].send_replace(position + 1);
        if wake {
            self.changed.notify_all();
        }
        true
    }

    /// A record was refused, or the writer failed.
    pub(crate) fn delivery_failed(&self, session: u64, reason: String) {
        let state = self.lock();
        if state.session == session {
            self.fail(state, reason);
        }
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
        let state = self.lock();
        state.trouble.clone().or_else(|| state.log_fault.clone())
    }

    fn fail(&self, mut state: MutexGuard<'_, State>, reason: String) {
        state.failed.get_or_insert(reason);
        drop(state);
        self.changed.notify_all();
    }

    /// The service stops: the relay goes on until everything is acknowledged, at the latest until `by`.
    pub(crate) fn stop(&self, by: Instant) {
        self.lock().stop_by = Some(by);
        self.changed.notify_all();
    }

    /// How things stand, without waiting.
    pub(crate) fn look(&self) -> Look {
        look(&self.lock())
    }

    /// Waits until there is something for the relay to do.
    pub(crate) fn wait(&self, wait: Wait<'_>) -> Look {
        let deadline = Instant::now() + wait.timeout;
        let mut state = self.lock();
        let full = distance(&state.acknowledged, wait.sent) >= wait.in_flight_max;
        // When full, some more deliveries than one are worth waking up for.
        let wait = if full { Wait { in_flight_max: wait.in_flight_max / 2 + 1, ..wait } } else { wait };
        state.relay_waits_for_deliveries = full || state.stop_by.is_some();
        while !something_to_do(&state, wait) {
            let left = time_left(deadline, state.stop_by);
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.relay_waits_for_deliveries |= state.stop_by.is_some();
        }
        state.relay_waits_for_deliveries = false;
        look(&state)
    }

    /// Events that Kafka has not acknowledged.
    pub(crate) fn unsent(&self) -> u64 {
        let state = self.lock();
        distance(&state.acknowledged, &state.durable)
    }

    /// Waits for the time of `pause`, but not beyond the time by which the service stops.
    pub(crate) fn pause(&self, pause: Duration) {
        let deadline = Instant::now() + pause;
        let mut state = self.lock();
        loop {
            let left = time_left(deadline, state.stop_by);
            if left.is_zero() {
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

fn something_to_do(state: &State, wait: Wait<'_>) -> bool {
    let room = distance(&state.acknowledged, wait.sent) < wait.in_flight_max;
    let unsent = room && distance(wait.sent, &state.durable) > 0;
    let drained = state.stop_by.is_some() && distance(&state.acknowledged, &state.durable) == 0;
    state.failed.is_some() || unsent || drained
}

fn time_left(deadline: Instant, stop_by: Option<Instant>) -> Duration {
    let first = stop_by.map_or(deadline, |stop_by| deadline.min(stop_by));
    first.saturating_duration_since(Instant::now())
}

fn look(state: &State) -> Look {
    Look {
        durable: state.durable.clone(),
        acknowledged: state.acknowledged.clone(),
        places: state.lying.places(),
        failed: state.failed.clone(),
        stop_by: state.stop_by,
    }
}

/// How far `to` is ahead of `from`, over all partitions.
pub(crate) fn distance(from: &[u64], to: &[u64]) -> u64 {
    from.iter().zip(to).map(|(from, to)| to.saturating_sub(*from)).sum()
}
