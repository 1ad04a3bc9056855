//! The relay: outbox rows, in order of their positions, to Kafka; then marks what was acknowledged.
//!
//! **Guarantee**: per partition the log gets every position, in order. After a lost connection or a crash it may get
//! some of them again, with the same event ids; readers recognise those. A row is never skipped: when Kafka refuses a
//! record for good, or was away, the relay claims the topic anew, compares log and store up to its claim, and begins
//! again behind the last position that the log has, with a new writer, for as long as it takes. A log that has lost its
//! end gets it again that way. What an earlier writer had under way comes to lie behind the claim and counts for nothing.
//!
//! What can never pass, a hole in the outbox or a row that is not what was sealed, halts its partition: the others go on,
//! and the service accepts no more commands.

mod error;
mod pauses;
mod session;
mod swapped;

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_log::sabotage::{self, Fault};
use event_log::{Outgoing, SendError};
use schemas::envelope::{self, CONTENT_TYPE};

use super::ambient::{Ambient, now_ms};
use super::health::Health;
use super::keep::{AGE_PAUSE, Keeper};
use super::metrics::Metrics;
use super::outbox::SealedEvent;
use super::positions::{Look, Positions, Wait, distance};
use super::recorded::outbox_rows;
use super::store::Store;
use super::writer::{ClaimError, Claimant, Claimed};
use error::RelayError;
use pauses::Pauses;
use schemas::sequence::Reached;
use session::Session;

/// Events handed to the producer and not acknowledged. Enough for full batches to every partition, a few megabytes.
const IN_FLIGHT_MAX: u64 = 10_000;
/// Rows sent of one partition before the next has its turn.
const RUN_ROWS_MAX: usize = 64;
/// How long an acknowledgement may go unmarked. A crash within it repeats at most what was sent meanwhile.
const MARK_PAUSE: Duration = Duration::from_millis(100);

/// What the relay works with.
pub(crate) struct Relay {
    pub(crate) claimant: Claimant,
    /// The claims of the start; later writers claim anew.
    pub(crate) claimed: Option<Claimed>,
    /// How far the log was read by comparisons that did not succeed, so that the next one need not read it again.
    pub(crate) read: Option<Vec<Reached>>,
    pub(crate) store: Arc<Store>,
    pub(crate) positions: Arc<Positions>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) ambient: Arc<dyn Ambient>,
    pub(crate) health: Arc<Health>,
    pub(crate) keeper: Keeper,
}

impl Relay {
    /// Works until the service stops.
    pub(crate) fn run(mut self) {
        let mut pauses = Pauses::default();
        loop {
            let partition = match self.relay_until_failure() {
                Ok(()) | Err(RelayError::Stopping) => break,
                Err(RelayError::Superseded(superseded) | RelayError::Claim(ClaimError::Lost(superseded))) => {
                    tracing::error!("{superseded}");
                    self.positions.set_superseded(*superseded);
                    return;
                }
                Err(error) => {
                    tracing::error!(topic = self.claimant.own.topic, error = %error, "the relay begins anew behind what the log has");
                    self.positions.set_trouble(error.to_string());
                    error.partition()
                }
            };
            self.metrics.relay_failures.inc();
            if self.stopping_time_is_over() {
                break;
            }
            self.positions.pause(pauses.next(partition, &self.positions.look().acknowledged));
        }
        self.mark();
    }

    fn stopping_time_is_over(&self) -> bool {
        self.positions.look().stop_by.is_some_and(|by| by <= Instant::now())
    }

    fn relay_until_failure(&mut self) -> Result<(), RelayError> {
        let mut session = self.open()?;
        self.mark();
        loop {
            let look = self.positions.wait(Wait {
                sent: &session.sent,
                in_flight_max: session.in_flight_max,
                timeout: self.look_again(&session),
            });
            if let Some(failure) = look.failed {
                return Err(RelayError::Delivery(failure));
            }
            self.mark();
            self.send_some(&mut session, &look)?;
            if let Some(by) = look.stop_by
                && (look.is_drained() || by <= Instant::now())
            {
                return Ok(());
            }
        }
    }

    /// Without unmarked or awaited acknowledgements, only a new commit or the age of kept rows is worth waking up for.
    fn look_again(&self, session: &Session) -> Duration {
        let awaited = distance(self.keeper.marked(), &session.sent) > 0;
        if awaited { MARK_PAUSE } else { AGE_PAUSE }
    }

    fn send_some(&self, session: &mut Session, look: &Look) -> Result<(), RelayError> {
        session.in_flight_max = IN_FLIGHT_MAX;
        let mut unreadable = None;
        // A store that is being brought to where the journal is may lack for a moment what it has again then.
        let fails = self.health.failure().is_some();
        for (index, durable) in look.durable.iter().enumerate() {
            if look.halted.contains_key(&index) {
                continue;
            }
            let in_flight = distance(&look.acknowledged, &session.sent);
            if in_flight >= IN_FLIGHT_MAX {
                break;
            }
            match self.send_partition(session, index, *durable) {
                Ok(true) => {}
                // The producer's queue is full before our own bound: wait for some of it.
                Ok(false) => {
                    session.in_flight_max = distance(&look.acknowledged, &session.sent).max(1);
                    break;
                }
                Err(error) if error.never_passes() => {
                    if fails || self.health.failure().is_some() {
                        unreadable.get_or_insert(error);
                    } else {
                        self.halt(index, &error);
                    }
                }
                // The rows of other partitions may be readable.
                Err(error @ RelayError::Outbox { .. }) => {
                    unreadable.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        unreadable.map_or(Ok(()), Err)
    }

    /// Nothing more of this partition is sent by this process.
    fn halt(&self, index: usize, error: &RelayError) {
        let topic = self.claimant.own.topic;
        tracing::error!(topic, partition = index, error = %error, "the relay sends nothing more of a partition; commands are refused");
        self.positions.halt(index, error.to_string());
        self.metrics.halted_partitions.inc();
    }

    /// Sends some rows of one partition; false if the producer's queue is full.
    fn send_partition(&self, session: &mut Session, index: usize, durable: u64) -> Result<bool, RelayError> {
        let partition = index as i32;
        let from = session.sent[index];
        if from >= durable {
            return Ok(true);
        }
        let rows = outbox_rows(&self.store, partition, from, durable, RUN_ROWS_MAX);
        let mut rows = rows.map_err(|source| RelayError::Outbox { partition, source })?;
        if durable - from > 1 && sabotage::strikes(Fault::Reorder) {
            swapped::first_two(&mut rows, from);
        }
        for (first, row) in rows {
            for (offset, event) in row.events.iter().enumerate() {
                let (position, expected) = (first + offset as u64, session.sent[index]);
                if position < expected || position >= durable {
                    continue;
                }
                if position > expected {
                    return Err(RelayError::Missing { partition, position: expected });
                }
                if !self.send(session, partition, position, event)? {
                    return Ok(false);
                }
                session.sent[index] += 1;
            }
        }
        if session.sent[index] == from {
            return Err(RelayError::Missing { partition, position: from });
        }
        Ok(true)
    }

    fn send(
        &self,
        session: &Session,
        partition: i32,
        position: u64,
        event: &SealedEvent,
    ) -> Result<bool, RelayError> {
        if sabotage::strikes(Fault::DropRow) {
            return Ok(true);
        }
        let headers = [
            ("content-type", CONTENT_TYPE.as_bytes()),
            (schemas::headers::TRACEPARENT, event.traceparent.as_bytes()),
        ];
        let headers = if event.traceparent.is_empty() { &headers[..1] } else { &headers[..] };
        let value = envelope::with_epoch(&event.value, session.epoch)
            .ok_or(RelayError::Unsealed { partition, position })?;
        let value = if sabotage::strikes(Fault::Garble) { b"?" } else { &value[..] };
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
            Ok(()) if sabotage::strikes(Fault::DoubleSend) => self.send(session, partition, position, event),
            Ok(()) => Ok(true),
            Err(SendError::QueueFull) => {
                self.positions.sending(partition as usize, -1);
                Ok(false)
            }
            Err(source) => Err(RelayError::Send { partition, source }),
        }
    }

    fn mark(&mut self) {
        let look = self.positions.look();
        self.metrics.unsent_events.set(distance(&look.acknowledged, &look.durable));
        // Whoever looks at a store that came back must not be disturbed.
        if self.health.failure().is_some() {
            return;
        }
        // What is not marked is sent again after a crash, and what is not pruned takes space: neither is worth stopping.
        if let Err(error) =
            self.keeper.mark(&self.store, &look.acknowledged, &look.places, now_ms(&*self.ambient))
        {
            tracing::warn!(topic = self.claimant.own.topic, error = %error, "acknowledged positions could not be marked");
        }
    }
}
