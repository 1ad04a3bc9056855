//! The relay: events of the journal, in order of their positions, to Kafka; then notes what was acknowledged.
//!
//! **Guarantee**: per partition the log gets every position, in order. After a lost connection or a crash it may get
//! some of them again, with the same event ids; readers recognise those. An event is never skipped: when Kafka refuses a
//! record for good, or was away, the relay claims the topic again, compares log and journal up to its claim, and begins
//! again behind the last position that the log has, with a new writer, for as long as it takes. A log that has lost its
//! end gets it again that way. What an earlier writer had under way lands behind the claim and counts for nothing.
//!
//! A partition of which the log does not go on where the journal does, or holds what must not be there, is left out until it
//! has changed, and its commands are refused; the others go on.
//!
//! What can never pass, a hole in the journal or an event that is not what was sealed, halts its partition: the others go on,
//! and the service accepts no more commands.

mod error;
mod session;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_event::envelope::{self, CONTENT_TYPE};
use daybook_journal::{Mark, Reader};
use daybook_kafka::{Outgoing, SendError};
use daybook_service::{LogOnce, fires};
use daybook_store::VALUE_BYTES_MAX;

use crate::fencing::{ClaimError, Claimant, Claimed};
use crate::metrics::Metrics;
use crate::outbox::positions::{Failure, Positions, Snapshot, Wait, distance};
use crate::reconcile::{self, Recalled, events_from};
use daybook_event::sequence::Reached;
use error::{Pauses, RelayError};
use session::Session;

/// Events handed to the producer and not acknowledged, of all partitions: each has its share, so that one which takes nothing
/// stops no other. Enough for full batches to every partition, a few megabytes. Tests reach it with few events.
const IN_FLIGHT_MAX: u64 = if cfg!(test) { 96 } else { 10_000 };
// The producer's own queue, which all partitions share, has room for them however large they are.
const _: () = assert!(
    IN_FLIGHT_MAX * (VALUE_BYTES_MAX as u64 + KEY_BYTES_MAX) < daybook_kafka::WRITER_QUEUE_BYTES_MAX as u64
);
/// An event's key is an id in text; its value has its epoch added.
const KEY_BYTES_MAX: u64 = 256;
/// Pause if it has none all the same.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(10);
const RUN_EVENTS_MAX: u64 = 512;
/// How long an acknowledgement may go unmarked.
const MARK_PAUSE: Duration = Duration::from_millis(100);
/// Under load what was decided is sent at most so often: fuller batches cost producer and brokers far less. Who comes after a
/// pause is sent at once.
const SEND_PAUSE: Duration = Duration::from_millis(4);
/// How long the relay sleeps with nothing to do, unless it is woken.
const IDLE_PAUSE: Duration = Duration::from_secs(10);

pub(crate) struct Relay {
    pub(crate) claimant: Claimant,
    /// The claims of the start; later writers claim again.
    pub(crate) claimed: Option<Claimed>,
    /// Per partition: how far the log was read by a comparison that did not succeed, so that the next one need not read it again.
    pub(crate) read: Vec<Option<Reached>>,
    pub(crate) journal: Reader,
    pub(crate) positions: Arc<Positions>,
    pub(crate) metrics: Arc<Metrics>,
    /// Per partition: up to where the journal knows what is acknowledged.
    pub(crate) marked: Vec<u64>,
    /// A client waits for each event until Kafka has it.
    pub(crate) is_awaited: bool,
    pub(crate) reported: Reported,
}

#[derive(Default)]
pub(crate) struct Reported {
    said: LogOnce,
    /// Since when it begins again and again, and what was acknowledged then.
    failing: Option<(Instant, Vec<u64>)>,
    stalled: BTreeSet<usize>,
    /// Partitions that do not fit, and why.
    diverged: BTreeMap<usize, String>,
}

impl Relay {
    pub(crate) fn run(mut self) {
        let mut pauses = Pauses::default();
        loop {
            let error = match self.relay_until_failure() {
                Ok(()) | Err(RelayError::Stopping) => break,
                Err(RelayError::Fenced(fenced) | RelayError::Claim(ClaimError::Lost(fenced))) => {
                    tracing::error!("{fenced}");
                    self.positions.set_fenced(*fenced);
                    return;
                }
                // What was met while it waited for Kafka is no news any more.
                Err(_) if self.positions.is_over() => break,
                Err(error) => error,
            };
            self.report(&error);
            // Nothing has failed: the others need not wait, and how often it may be back is bounded where that is noticed.
            if let RelayError::Returned { .. } = error {
                continue;
            }
            self.positions.pause(pauses.next(error.partition(), &self.positions.snapshot().acknowledged));
        }
        self.mark();
    }

    /// Once when it begins, and once a minute from then on.
    fn report(&mut self, error: &RelayError) {
        let topic = self.claimant.own.topic;
        if let RelayError::Returned { .. } = error {
            tracing::info!(topic, "{error}");
            return;
        }
        self.metrics.relay_failures.inc();
        let positions = &self.positions;
        self.reported.failing.get_or_insert_with(|| (Instant::now(), positions.snapshot().acknowledged));
        let reason = error.to_string();
        if let Some(more) = self.reported.said.say_like("", &reason) {
            tracing::error!(topic, error = %reason, "the relay begins again behind what the log has{more}");
        }
        self.positions.set_trouble(Failure { partition: error.partition(), reason });
    }

    /// Once something was acknowledged since, or nothing waits.
    fn report_recovery(&mut self, snapshot: &Snapshot) {
        let is_over = |(_, acknowledged): &mut (Instant, Vec<u64>)| snapshot.takes_events_since(acknowledged);
        if let Some((since, _)) = self.reported.failing.take_if(is_over)
            && let Some(more) = self.reported.said.say("well")
        {
            let topic = self.claimant.own.topic;
            tracing::info!(topic, after_s = since.elapsed().as_secs(), "Kafka takes events again{more}");
        }
    }

    fn relay_until_failure(&mut self) -> Result<(), RelayError> {
        let mut session = self.open()?;
        self.mark();
        let mut sent_at: Option<Instant> = None;
        loop {
            if let Some(sent_at) = sent_at.filter(|_| !self.is_awaited) {
                self.positions.pause(SEND_PAUSE.saturating_sub(sent_at.elapsed()));
            }
            let snapshot = self.positions.wait(Wait {
                sent: &session.sent,
                in_flight_max: self.share(),
                timeout: self.look_again(&session),
            });
            if let Some(failure) = snapshot.failed {
                return Err(RelayError::Delivery(failure));
            }
            if let Some(found) = &snapshot.unexplained {
                self.explain(&session, found, &snapshot)?;
            }
            if let Some(partition) = snapshot.returned {
                return Err(RelayError::Returned { partition: partition as i32 });
            }
            self.mark();
            self.report_stalled(&snapshot);
            self.report_recovery(&snapshot);
            let sent = session.sent.iter().sum::<u64>();
            if !self.send_some(&mut session, &snapshot)? {
                self.positions.pause(QUEUE_FULL_PAUSE);
            }
            if session.sent.iter().sum::<u64>() > sent {
                sent_at = Some(Instant::now());
            }
            if let Some(by) = snapshot.stop_by
                && (snapshot.is_drained || by <= Instant::now())
            {
                return Ok(());
            }
        }
    }

    /// Without unmarked or awaited acknowledgements, only a new commit is worth waking up for.
    fn look_again(&self, session: &Session) -> Duration {
        let awaited = distance(&self.marked, &session.sent) > 0;
        if awaited { MARK_PAUSE } else { IDLE_PAUSE }
    }

    fn share(&self) -> u64 {
        share(self.marked.len())
    }

    /// Once when it begins, and once when it is over.
    fn report_stalled(&mut self, snapshot: &Snapshot) {
        let topic = self.claimant.own.topic;
        for (partition, waited) in
            snapshot.stalled.iter().filter(|(partition, _)| !self.reported.stalled.contains(partition))
        {
            let unsent = snapshot.durable[*partition].saturating_sub(snapshot.acknowledged[*partition]);
            tracing::warn!(
                topic,
                partition,
                unsent,
                waited_s = waited.as_secs(),
                "a partition acknowledges nothing; its events wait"
            );
        }
        for partition in
            self.reported.stalled.iter().filter(|partition| !snapshot.stalled.contains_key(partition))
        {
            tracing::info!(topic, partition, "a partition that acknowledged nothing acknowledges again");
        }
        self.reported.stalled = snapshot.stalled.keys().copied().collect();
    }

    fn send_some(&self, session: &mut Session, snapshot: &Snapshot) -> Result<bool, RelayError> {
        let (mut unreadable, mut has_room) = (None, true);
        for (index, durable) in snapshot.durable.iter().enumerate() {
            if snapshot.resting.contains_key(&index) || !has_room {
                continue;
            }
            let to = (*durable).min(snapshot.acknowledged[index] + self.share());
            match self.send_partition(session, index, to) {
                Ok(sent) => has_room = sent,
                Err(error) if error.never_passes() => self.halt(index, &error),
                // The events of other partitions may be readable.
                Err(error @ RelayError::Outbox { .. }) => {
                    unreadable.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        unreadable.map_or(Ok(has_room), Err)
    }

    /// Nothing more of this partition is sent by this process.
    fn halt(&self, index: usize, error: &RelayError) {
        let topic = self.claimant.own.topic;
        tracing::error!(topic, partition = index, error = %error, "the relay sends nothing more of a partition; commands are refused");
        self.positions.halt(index, error.to_string());
    }

    /// Sends some events of one partition, up to before this position; false if the producer's queue is full.
    fn send_partition(&self, session: &mut Session, index: usize, to: u64) -> Result<bool, RelayError> {
        let partition = index as i32;
        let to = to.min(session.sent[index] + RUN_EVENTS_MAX);
        while session.sent[index] < to {
            let from = session.sent[index];
            let run = events_from(&self.journal, index, from, to);
            let mut run = run.map_err(|source| RelayError::Outbox { partition, source })?;
            if run.is_empty() {
                return Err(RelayError::Missing { partition, position: from });
            }
            if run.len() > 1 && fires("reorder") {
                run.swap(0, 1);
            }
            for (position, event) in (from..).zip(&run) {
                if !self.send(session, partition, position, event)? {
                    return Ok(false);
                }
                session.sent[index] += 1;
                session.before[index] = Some(event.id);
            }
        }
        Ok(true)
    }

    fn send(
        &self,
        session: &Session,
        partition: i32,
        position: u64,
        event: &Recalled,
    ) -> Result<bool, RelayError> {
        if fires("drop-row") || partition > 0 && fires("send-one-partition") {
            return Ok(true);
        }
        let headers = [
            ("content-type", CONTENT_TYPE.as_bytes()),
            (daybook_event::headers::TRACEPARENT, event.traceparent.as_bytes()),
        ];
        let headers = if event.traceparent.is_empty() { &headers[..1] } else { &headers[..] };
        let value = envelope::as_sent(&event.value, session.epoch, session.before[partition as usize])
            .ok_or(RelayError::Unsealed { partition, position })?;
        let value = if fires("garble") { b"?" } else { &value[..] };
        let key = event.key.as_bytes();
        // Before: the watch may see the event in the log at once.
        self.positions.sending(partition as usize, 1);
        match session.writer.send(Outgoing {
            topic: self.claimant.own.topic,
            partition,
            key,
            value,
            headers,
            tag: position,
        }) {
            Ok(()) if fires("double-send") => self.send(session, partition, position, event),
            Ok(()) => Ok(true),
            Err(SendError::QueueFull) => {
                self.positions.sending(partition as usize, -1);
                Ok(false)
            }
            Err(source) => Err(RelayError::Send { partition, source }),
        }
    }

    /// Tells the journal what is acknowledged, and where the last of it lies: the next comparison begins there. A crash
    /// forgets what was told since the last change of segments; then more is read and sent again.
    fn mark(&mut self) {
        let snapshot = self.positions.snapshot();
        for (partition, acknowledged) in snapshot.acknowledged.iter().enumerate() {
            if self.marked[partition] != *acknowledged {
                self.journal.sent(partition, *acknowledged, self.place(partition, &snapshot));
            }
        }
        self.marked.copy_from_slice(&snapshot.acknowledged);
    }

    fn place(&self, partition: usize, snapshot: &Snapshot) -> Option<Mark> {
        let (offset, epoch) = (snapshot.behind[partition]?, snapshot.epoch);
        let next_position = snapshot.acknowledged[partition];
        // What cannot be read is not marked.
        let last_id =
            reconcile::kept_id(&self.journal, partition, next_position.checked_sub(1)?).ok().flatten()?;
        Some(Mark { offset, epoch, next_position, last_id: Some(last_id) })
    }
}

/// Events of one partition that may be under way, so that all together are at most [`IN_FLIGHT_MAX`] and each has its own.
fn share(partitions: usize) -> u64 {
    (IN_FLIGHT_MAX / (partitions as u64).max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_partition_uses_up_what_all_may_have_under_way() {
        for partitions in [1, 2, 3, 7, 96] {
            assert!(share(partitions) * partitions as u64 <= IN_FLIGHT_MAX, "{partitions}");
            assert!(share(partitions) >= IN_FLIGHT_MAX / partitions as u64, "{partitions}");
        }
        assert_eq!(share(usize::MAX), 1, "it may always send one");
    }
}
