//! What the relay finds when it looks where the partitions stand, and what it waits for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::writer::{Places, Unexplained};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing more can be, until the process is started anew.
    Halted(String),
    /// Nobody answered for it when the present writer claimed, or what it holds does not fit.
    Away(String),
}

/// Why a writer is of no more use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The partition that it is about, if it is about one.
    pub(crate) partition: Option<i32>,
    pub(crate) reason: String,
}

#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) durable: Vec<u64>,
    pub(crate) acknowledged: Vec<u64>,
    /// Where the last acknowledged events lie.
    pub(crate) places: Places,
    pub(crate) session: u64,
    /// What somebody else has written among its records, and is to be read.
    pub(crate) unexplained: Option<Unexplained>,
    /// Why the present writer is of no more use.
    pub(crate) failed: Option<Failure>,
    /// A partition that was away when the present writer claimed, and is back.
    pub(crate) returned: Option<usize>,
    pub(crate) resting: BTreeMap<usize, Rest>,
    /// Partitions that have acknowledged nothing for long although the present writer sends to them, and for how long.
    pub(crate) stalled: BTreeMap<usize, Duration>,
    /// The service stops: go on until then, or until everything is acknowledged.
    pub(crate) stop_by: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait<'a> {
    pub(crate) sent: &'a [u64],
    /// Sent of one partition and not acknowledged: from this many on it must wait for deliveries of it.
    pub(crate) in_flight_max: u64,
    /// Look again after this time even so.
    pub(crate) timeout: Duration,
}

impl Look {
    /// Whether Kafka has all that can be sent.
    pub(crate) fn is_drained(&self) -> bool {
        distance_but(&self.resting, &self.acknowledged, &self.durable) == 0
    }

    /// Whether Kafka takes events since these were acknowledged: it took some, or nothing waits of what it can be sent.
    pub(crate) fn takes_events_since(&self, acknowledged: &[u64]) -> bool {
        let takes_none = self.resting.len() == self.durable.len();
        distance(acknowledged, &self.acknowledged) > 0 || self.is_drained() && !takes_none
    }
}

/// As [`distance`], over the partitions of which something can be sent.
pub(super) fn distance_but(resting: &BTreeMap<usize, Rest>, from: &[u64], to: &[u64]) -> u64 {
    let ends = from.iter().zip(to).enumerate().filter(|(index, _)| !resting.contains_key(index));
    ends.map(|(_, (from, to))| to.saturating_sub(*from)).sum()
}

/// How far `to` is ahead of `from`, over all partitions.
pub(crate) fn distance(from: &[u64], to: &[u64]) -> u64 {
    from.iter().zip(to).map(|(from, to)| to.saturating_sub(*from)).sum()
}
