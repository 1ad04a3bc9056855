//! Where all partitions stand at one moment. Pure: whoever holds the lock asks it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::kernel::writer::{Lying, Places};

/// Where all partitions stand.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) durable: Vec<u64>,
    pub(super) acknowledged: Vec<u64>,
    /// Deliveries of an earlier writer no longer count.
    pub(super) session: u64,
    /// Where the present writer's records come to lie.
    pub(super) lying: Lying,
    pub(super) failed: Option<Failure>,
    /// Partitions of which the relay can send nothing more, and why.
    pub(super) halted: BTreeMap<usize, String>,
    /// What the relay met last, until Kafka acknowledges something again.
    pub(super) trouble: Option<String>,
    /// What is wrong with the topic itself, as long as it is.
    pub(super) log_fault: Option<String>,
    pub(super) relay_waits_for_deliveries: bool,
    pub(super) stop_by: Option<Instant>,
}

/// Why a writer is of no more use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The partition that it is about, if it is about one.
    pub(crate) partition: Option<i32>,
    pub(crate) reason: String,
}

/// What the relay finds when it looks.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) durable: Vec<u64>,
    pub(crate) acknowledged: Vec<u64>,
    /// Where the last acknowledged events lie.
    pub(crate) places: Places,
    /// Why the present writer is of no more use.
    pub(crate) failed: Option<Failure>,
    /// Partitions of which nothing more can be sent.
    pub(crate) halted: BTreeMap<usize, String>,
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

impl State {
    pub(super) fn new(durable: Vec<u64>, acknowledged: Vec<u64>) -> Self {
        Self {
            durable,
            acknowledged,
            session: 0,
            lying: Lying::default(),
            failed: None,
            halted: BTreeMap::new(),
            trouble: None,
            log_fault: None,
            relay_waits_for_deliveries: false,
            stop_by: None,
        }
    }

    /// A new writer begins; its number.
    pub(super) fn begin_session(&mut self) -> u64 {
        self.session += 1;
        self.failed = None;
        self.lying = Lying::default();
        self.session
    }

    /// A record was acknowledged: whether that moves the prefix, or why the writer is of no more use.
    pub(super) fn delivered(
        &mut self,
        session: u64,
        partition: usize,
        position: u64,
        offset: i64,
    ) -> Result<bool, String> {
        if self.session != session {
            return Ok(false);
        }
        if self.acknowledged.get(partition) != Some(&position) {
            return Err(format!("partition {partition} acknowledged position {position} out of order"));
        }
        self.lying.delivered(partition, offset)?;
        self.acknowledged[partition] = position + 1;
        self.trouble = None;
        Ok(true)
    }

    /// What is wrong if a partition ends here: more than the present writer has sent is somebody else's.
    pub(super) fn end_fault(&self, partition: usize, end: i64) -> Option<String> {
        let most = self.lying.end_max(partition).filter(|most| end > *most)?;
        Some(format!(
            "partition {partition} ends at offset {end}, and at {most} with all that was sent: somebody else writes it"
        ))
    }

    /// Why nothing gets through to Kafka, if the relay knows; else what is wrong with the topic.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.clone().or_else(|| self.log_fault.clone())
    }

    /// Events that Kafka has not acknowledged.
    pub(super) fn unsent(&self) -> u64 {
        distance(&self.acknowledged, &self.durable)
    }

    /// Whether so many are under way that no more may be sent.
    pub(super) fn is_full(&self, wait: Wait<'_>) -> bool {
        distance(&self.acknowledged, wait.sent) >= wait.in_flight_max
    }

    pub(super) fn something_to_do(&self, wait: Wait<'_>) -> bool {
        let to_send = !self.is_full(wait) && distance_but(&self.halted, wait.sent, &self.durable) > 0;
        let drained = self.stop_by.is_some() && self.look().is_drained();
        self.failed.is_some() || to_send || drained
    }

    /// How long to wait until `deadline`, but not beyond the time by which the service stops.
    pub(super) fn time_left(&self, deadline: Instant, now: Instant) -> Duration {
        let first = self.stop_by.map_or(deadline, |stop_by| deadline.min(stop_by));
        first.saturating_duration_since(now)
    }

    pub(super) fn look(&self) -> Look {
        Look {
            durable: self.durable.clone(),
            acknowledged: self.acknowledged.clone(),
            places: self.lying.places(),
            failed: self.failed.clone(),
            halted: self.halted.clone(),
            stop_by: self.stop_by,
        }
    }
}

impl Look {
    /// Whether Kafka has all that can be sent.
    pub(crate) fn is_drained(&self) -> bool {
        distance_but(&self.halted, &self.acknowledged, &self.durable) == 0
    }
}

/// As [`distance`], over the partitions of which something can be sent.
fn distance_but(halted: &BTreeMap<usize, String>, from: &[u64], to: &[u64]) -> u64 {
    let ends = from.iter().zip(to).enumerate().filter(|(index, _)| !halted.contains_key(index));
    ends.map(|(_, (from, to))| to.saturating_sub(*from)).sum()
}

/// How far `to` is ahead of `from`, over all partitions.
pub(crate) fn distance(from: &[u64], to: &[u64]) -> u64 {
    from.iter().zip(to).map(|(from, to)| to.saturating_sub(*from)).sum()
}
