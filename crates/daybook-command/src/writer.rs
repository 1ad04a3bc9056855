//! One writer per partition: who writes the own topic, since when, and with which epoch.
//!
//! Before a service sends anything it claims every partition with an epoch that is higher than any before
//! ([`daybook_event::claim`]). What lies in the log up to its claim is what it compares its store with; what comes to lie behind
//! it from an earlier writer counts for nothing.

mod claimant;
mod expected_offsets;
mod instance;
mod own_log;

use std::fmt;

pub(crate) use claimant::{Claimant, Claimed};
use daybook_event::claim::Writer;
use daybook_event::envelope::EPOCH_MAX;
use daybook_kafka::{LogError, SendError};
pub(crate) use expected_offsets::{ExpectedOffsets, Lies, Places, Unexplained};
pub(crate) use instance::Instance;
pub use instance::InstanceError;
pub(crate) use own_log::{OwnLog, OwnPartition, Patience, WholeLog};

use crate::reconcile::CompareError;

#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    #[error(transparent)]
    Other(#[from] OtherInstance),
    #[error("{0}, at the same time as this process, which has sent no event; stop one of the two for good")]
    Lost(Box<Superseded>),
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("a claim cannot be sealed: {reason}")]
    Unsealed { reason: String },
    #[error(
        "no partition has taken the claim with which this process would write it, so nothing is sent, and it is tried again: {reason}"
    )]
    NoneTaken { reason: String },
    #[error("partition {partition} went back while it was being claimed: the log has lost its end")]
    WentBack { partition: i32 },
    #[error(
        "Kafka acknowledged the claim to partition {partition} at offset {offset}, and the log does not have it there; this \
         process sends nothing, check the brokers' logs and start again"
    )]
    NotThere { partition: i32, offset: i64 },
    #[error(transparent)]
    Instance(#[from] InstanceError),
    #[error(
        "topic {topic} was claimed with epoch {EPOCH_MAX}, beyond which there is none: create a new topic and bring the events there"
    )]
    NoEpochLeft { topic: String },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "topic {topic} partition {partition} is written by instance {} on host {}, which claimed it at {}; if that one is gone \
     for good, start with --take-over (and with --recover in an empty directory), which shuts it out", writer.instance, writer.host, writer.claimed_at
)]
pub struct OtherInstance {
    pub topic: String,
    pub partition: i32,
    pub writer: Writer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superseded {
    pub topic: String,
    /// The partition where it was noticed.
    pub partition: i32,
    pub by: Writer,
    /// Whether that one has the same instance id: a copy of this directory.
    pub copy: bool,
}

impl fmt::Display for Superseded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, partition, by, copy } = self;
        let whose = if *copy { ", a copy of this directory," } else { "" };
        write!(
            f,
            "superseded: instance {}{whose} on host {} claimed topic {topic} partition {partition} at {}",
            by.instance, by.host, by.claimed_at
        )
    }
}

/// Events of the own outbox that are not in the log and never will be: partition, first and last position.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unsaved(pub Vec<(i32, u64, u64)>);

impl Unsaved {
    /// What is durable here and not acknowledged, per partition.
    pub(crate) fn of(acknowledged: &[u64], durable: &[u64]) -> Self {
        let ends = (0..).zip(acknowledged.iter().zip(durable));
        let unsaved = ends.filter(|(_, (acknowledged, durable))| durable > acknowledged);
        Self(unsaved.map(|(partition, (from, to))| (partition, *from, to - 1)).collect())
    }
}

impl fmt::Display for Unsaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events: u64 = self.0.iter().map(|(_, from, to)| to - from + 1).sum();
        if events == 0 {
            return f.write_str("all events of its outbox are in the log");
        }
        write!(f, "{events} event(s) of its outbox are not in the log")?;
        for (index, (partition, from, to)) in self.0.iter().enumerate() {
            let before = if index == 0 { ": " } else { ", " };
            write!(f, "{before}partition {partition} positions {from} to {to}")?;
        }
        f.write_str(
            "; the other one does not know them: what was answered after disk must be asked for again there, from the store that \
             is kept here",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_the_log_is_told_by_position() {
        let said = |acknowledged: &[u64], durable: &[u64]| Unsaved::of(acknowledged, durable).to_string();
        assert_eq!(said(&[3, 0], &[3, 0]), "all events of its outbox are in the log");
        let some = said(&[3, 5, 0], &[7, 5, 1]);
        let listed = "5 event(s) of its outbox are not in the log: partition 0 positions 3 to 6, partition 2 positions 0 to 0;";
        assert!(some.starts_with(listed) && some.contains("must be asked for again"), "{some}");
    }
}
