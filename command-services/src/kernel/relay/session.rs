//! A new writer: the topic is claimed for it, and where the log ends is found out, before it sends anything.

use std::sync::Arc;
use std::time::Duration;

use event_log::{Delivery, Writer, topics};

use super::Relay;
use super::error::RelayError;
use crate::kernel::metrics::Metrics;
use crate::kernel::positions::{Failure, Positions};
use crate::kernel::recorded;
use crate::kernel::writer::{Claimed, OwnLog, OwnPartition, Patience};
use schemas::sequence::Reached;

/// How long a broker may take to answer before a stop is looked for; it is asked again for as long as it takes.
const REACHABLE_TIMEOUT: Duration = Duration::from_secs(1);

/// One writer, and how far it was given events.
pub(super) struct Session {
    pub(super) writer: Writer,
    pub(super) epoch: u32,
    pub(super) sent: Vec<u64>,
}

impl Relay {
    /// Opens a writer behind the claims of the start, or behind new ones.
    pub(super) fn open(&mut self) -> Result<Session, RelayError> {
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
            move |reason| {
                let reason = format!("Kafka was lost: {reason}");
                brokers_lost.delivery_failed(session, Failure { partition: None, reason });
            },
        )?;
        let epoch = claimed.epoch;
        Ok(Session { writer, epoch, sent: self.positions.look().acknowledged })
    }

    /// Waits for a broker, finds out what the log has, and claims the topic anew if they fit together: who cannot go on has
    /// nothing to claim. What came to lie before the claims meanwhile is compared as well.
    fn claim(&mut self) -> Result<Claimed, RelayError> {
        let waiting = topics::Waiting::open(&self.claimant.own.kafka)?;
        let found = loop {
            match waiting.wait_reachable(REACHABLE_TIMEOUT) {
                Ok(found) => break found,
                Err(_) if self.positions.is_over() => return Err(RelayError::Stopping),
                Err(error) => {
                    self.positions.set_trouble(Failure { partition: None, reason: error.to_string() });
                }
            }
        };
        if found != self.claimant.cluster {
            return Err(RelayError::OtherCluster { known: self.claimant.cluster.clone(), found });
        }
        let positions = Arc::clone(&self.positions);
        let is_over = move || positions.is_over();
        let patience = Patience::until(&is_over);
        let mut log = self.compare(&patience)?;
        let claimed = self.claimant.claim(&mut log, &patience)?;
        let sent = self.claimant.own.resume(&self.journal, &log)?;
        self.positions.set_acknowledged(&sent);
        Ok(claimed)
    }

    /// Reads the log from where it was last known to be the own one, and compares it with the journal.
    fn compare(&mut self, patience: &Patience<'_>) -> Result<OwnLog, RelayError> {
        let own = &self.claimant.own;
        let marks = match &self.read {
            Some(read) => read.clone(),
            None => recorded::marks(&self.journal),
        };
        let (mut log, ends) = OwnLog::open(own, &marks, self.claimant.instance.epoch(), patience)?;
        let read = log.read_to(own, &ends, patience);
        self.metrics.compared_records.inc_by(log.records);
        if let Some(superseded) = self.claimant.superseded(&log) {
            let own_end = |at: &Result<OwnPartition, _>| Some(at.as_ref().ok()?.own_end);
            self.positions.set_last_acknowledged(log.partitions.iter().map(own_end));
            return Err(RelayError::Superseded(Box::new(superseded)));
        }
        let compared =
            read.and_then(|()| own.compare(&self.journal, recorded::recorded(&self.journal), &log).map(drop));
        let reached = |(at, mark): (&Result<OwnPartition, _>, &Reached)| {
            at.as_ref().map_or(*mark, |at| at.sequence.reached())
        };
        self.read = compared.is_err().then(|| log.partitions.iter().zip(&marks).map(reached).collect());
        compared?;
        Ok(log)
    }
}

fn deliver(positions: &Positions, metrics: &Metrics, session: u64, delivery: &Delivery<'_>) {
    match &delivery.result {
        Ok(offset) => {
            if positions.delivered(session, delivery.partition, delivery.tag, *offset) {
                metrics.relayed_events.inc();
            }
        }
        Err(error) => {
            let failure = Failure { partition: Some(delivery.partition), reason: error.to_string() };
            positions.delivery_failed(session, failure);
        }
    }
}
