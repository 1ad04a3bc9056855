//! The relay: outbox rows, in order of their positions, to Kafka; then marks what was acknowledged.
//!
//! **Guarantee**: per partition the log gets every position, in order. After a lost connection or a crash it may get
//! some of them again, with the same event ids; readers recognise those. A row is never skipped: when Kafka refuses a
//! record for good, or was away, the relay claims the topic anew, compares log and store up to its claim, and begins
//! again behind the last position that the log has, with a new writer, for as long as it takes. A log that has lost its
//! end gets it again that way. What an earlier writer had under way comes to lie behind the claim and counts for nothing.

mod swapped;

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_log::sabotage::{self, Fault};
use event_log::{Delivery, LogError, Outgoing, SendError, Writer, topics};
use schemas::envelope::{self, CONTENT_TYPE};

use super::ambient::{Ambient, now_ms};
use super::comparison::CompareError;
use super::group::GroupError;
use super::keep::{AGE_PAUSE, Keeper};
use super::metrics::Metrics;
use super::outbox::SealedEvent;
use super::positions::{Look, Positions, Wait, distance};
use super::recorded::outbox_rows;
use super::store::Store;
use super::writer::{ClaimError, Claimant, Claimed, OwnLog, Superseded};

/// Events handed to the producer and not acknowledged. Enough for full batches to every partition, a few megabytes.
const IN_FLIGHT_MAX: u64 = 10_000;
/// Rows sent of one partition before the next has its turn.
const RUN_ROWS_MAX: usize = 64;
/// How long an acknowledgement may go unmarked. A crash within it repeats at most what was sent meanwhile.
const MARK_PAUSE: Duration = Duration::from_millis(100);
/// Pause before the first new attempt, doubled up to [`RETRY_PAUSE_MAX`].
const RETRY_PAUSE: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long a broker may take to answer before a stop is looked for; it is asked again for as long as it takes.
const REACHABLE_TIMEOUT: Duration = Duration::from_secs(1);

/// What the relay works with.
pub(crate) struct Relay {
    pub(crate) claimant: Claimant,
    /// The claims of the start; later writers claim anew.
    pub(crate) claimed: Option<Claimed>,
    pub(crate) store: Arc<Store>,
    pub(crate) positions: Arc<Positions>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) ambient: Arc<dyn Ambient>,
    pub(crate) keeper: Keeper,
}

/// Why a writer had to be given up.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Open(#[from] LogError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Store(#[from] GroupError),
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error("{0}")]
    Superseded(Box<Superseded>),
    #[error(
        "the outbox holds at position {position} of partition {partition} what was not sealed by this program"
    )]
    Unsealed { partition: i32, position: u64 },
    #[error("{0}")]
    Delivery(String),
    #[error("the service stops before Kafka is back")]
    Stopping,
    #[error("the outbox has no event at position {position} of partition {partition}")]
    Missing { partition: i32, position: u64 },
}

/// One writer, and how far it was given events.
struct Session {
    writer: Writer,
    epoch: u32,
    sent: Vec<u64>,
    in_flight_max: u64,
}

impl Relay {
    /// Works until the service stops.
    pub(crate) fn run(mut self) {
        let mut pause = RETRY_PAUSE;
        loop {
            let before = self.positions.look().acknowledged;
            match self.relay_until_failure() {
                Ok(()) | Err(RelayError::Stopping) => break,
                Err(RelayError::Superseded(superseded) | RelayError::Claim(ClaimError::Lost(superseded))) => {
                    tracing::error!("{superseded}");
                    self.positions.set_superseded(*superseded);
                    return;
                }
                Err(error) => {
                    tracing::error!(topic = self.claimant.own.topic, error = %error, "the relay begins anew behind what the log has");
                    self.positions.set_trouble(error.to_string());
                }
            }
            self.metrics.relay_failures.inc();
            if self.stopping_time_is_over() {
                break;
            }
            self.positions.pause(pause);
            let progressed = distance(&before, &self.positions.look().acknowledged) > 0;
            pause = if progressed { RETRY_PAUSE } else { RETRY_PAUSE_MAX.min(pause * 2) };
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
            if let Some(reason) = look.failed {
                return Err(RelayError::Delivery(reason));
            }
            self.mark();
            self.send_some(&mut session, &look)?;
            if let Some(by) = look.stop_by
                && (distance(&look.acknowledged, &look.durable) == 0 || by <= Instant::now())
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

    fn open(&mut self) -> Result<Session, RelayError> {
        let session = self.positions.begin_session();
        let claimed = match self.claimed.take() {
            Some(claimed) => claimed,
            None => self.claim()?,
        };
        self.positions.claimed(&claimed);
        let (positions, metrics) = (Arc::clone(&self.positions), Arc::clone(&self.metrics));
        let brokers_lost = Arc::clone(&self.positions);
        let writer = Writer::open_watching(
            &self.claimant.own.kafka,
            move |delivery| deliver(&positions, &metrics, session, &delivery),
            // Who comes back may have lost the end of the log, and would take the next event behind the gap.
            move |reason| brokers_lost.delivery_failed(session, format!("Kafka was lost: {reason}")),
        )?;
        let epoch = claimed.epoch;
        Ok(Session { writer, epoch, sent: self.positions.look().acknowledged, in_flight_max: IN_FLIGHT_MAX })
    }

    /// Waits for a broker, claims the topic anew, and finds out what the log has.
    fn claim(&mut self) -> Result<Claimed, RelayError> {
        while let Err(error) = topics::wait_reachable(&self.claimant.own.kafka, REACHABLE_TIMEOUT) {
            if self.stopping_time_is_over() {
                return Err(RelayError::Stopping);
            }
            self.positions.set_trouble(error.to_string());
        }
        let mut log = OwnLog::read(&self.claimant.own, Some(&self.store), self.claimant.instance.epoch())?;
        if let Some(superseded) = self.claimant.superseded(&log) {
            self.positions.set_last_acknowledged(log.partitions.iter().map(|partition| partition.own_end));
            return Err(RelayError::Superseded(Box::new(superseded)));
        }
        let claimed = self.claimant.claim(&mut log)?;
        let sent = self.claimant.own.resume(&self.store, &log.tails())?;
        self.positions.set_acknowledged(&sent);
        Ok(claimed)
    }

    fn send_some(&self, session: &mut Session, look: &Look) -> Result<(), RelayError> {
        session.in_flight_max = IN_FLIGHT_MAX;
        for (index, durable) in look.durable.iter().enumerate() {
            let in_flight = distance(&look.acknowledged, &session.sent);
            if in_flight >= IN_FLIGHT_MAX {
                break;
            }
            if !self.send_partition(session, index, *durable)? {
                // The producer's queue is full before our own bound: wait for some of it.
                session.in_flight_max = distance(&look.acknowledged, &session.sent).max(1);
                break;
            }
        }
        Ok(())
    }

    /// Sends some rows of one partition; false if the producer's queue is full.
    fn send_partition(&self, session: &mut Session, index: usize, durable: u64) -> Result<bool, RelayError> {
        let partition = index as i32;
        let from = session.sent[index];
        if from >= durable {
            return Ok(true);
        }
        let mut rows = outbox_rows(&self.store, partition, from, durable, RUN_ROWS_MAX)?;
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
            Err(error) => Err(error.into()),
        }
    }

    fn mark(&mut self) {
        let look = self.positions.look();
        self.metrics.unsent_events.set(distance(&look.acknowledged, &look.durable));
        // What is not marked is sent again after a crash, and what is not pruned takes space: neither is worth stopping.
        if let Err(error) =
            self.keeper.mark(&self.store, &look.acknowledged, &look.places, now_ms(&*self.ambient))
        {
            tracing::warn!(topic = self.claimant.own.topic, error = %error, "acknowledged positions could not be marked");
        }
    }
}

fn deliver(positions: &Positions, metrics: &Metrics, session: u64, delivery: &Delivery<'_>) {
    match &delivery.result {
        Ok(offset) => {
            if positions.delivered(session, delivery.partition, delivery.tag, *offset) {
                metrics.relayed_events.inc();
            }
        }
        Err(error) => positions.delivery_failed(session, error.to_string()),
    }
}
