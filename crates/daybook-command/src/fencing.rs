//! One writer per partition: who writes the own topic, since when, and with which epoch.
//!
//! Before a service sends anything it claims every partition with an epoch that is higher than any before
//! ([`daybook_event::claim`]). What lies in the log up to its claim is what it compares its store with; what lands behind
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
pub(crate) use expected_offsets::{ExpectedOffsets, Lies, Unexplained};
pub(crate) use instance::Instance;
pub(crate) use own_log::{OwnLog, OwnPartition, Patience, WholeLog};

use crate::reconcile::CompareError;
use crate::store::directory::DirectoryError;

#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    #[error(
        "topic {topic} partition {partition} is written by instance {} on host {}, which claimed it at {}; if that instance is gone \
         for good, start with --take-over (and with --recover in an empty directory), which fences it",
        writer.instance, writer.host, writer.claimed_at
    )]
    Other { topic: String, partition: i32, writer: Writer },
    #[error("{0}, at the same time as this process, which has sent no event; stop one of the two for good")]
    Lost(Box<Fenced>),
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
    Directory(#[from] DirectoryError),
    #[error(
        "topic {topic} was claimed with epoch {EPOCH_MAX}, beyond which there is none: create a new topic and bring the events there"
    )]
    NoEpochLeft { topic: String },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "fenced: instance {}{} on host {} claimed topic {topic} partition {partition} at {}",
    by.instance, if *copy { ", a copy of this directory," } else { "" }, by.host, by.claimed_at
)]
pub struct Fenced {
    pub topic: String,
    /// The partition where it was noticed.
    pub partition: i32,
    pub by: Writer,
    /// Whether that one has the same instance id: a copy of this directory.
    pub copy: bool,
}

/// Events of the own outbox that are not in the log and never will be: partition, first and last position.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnpublishedEvents(pub Vec<(i32, u64, u64)>);

impl UnpublishedEvents {
    /// What is durable here and not acknowledged, per partition.
    pub(crate) fn of(acknowledged: &[u64], durable: &[u64]) -> Self {
        let ends = (0..).zip(acknowledged.iter().zip(durable));
        let unpublished = ends.filter(|(_, (acknowledged, durable))| durable > acknowledged);
        Self(unpublished.map(|(partition, (from, to))| (partition, *from, to - 1)).collect())
    }
}

impl fmt::Display for UnpublishedEvents {
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
        let said =
            |acknowledged: &[u64], durable: &[u64]| UnpublishedEvents::of(acknowledged, durable).to_string();
        assert_eq!(said(&[3, 0], &[3, 0]), "all events of its outbox are in the log");
        let some = said(&[3, 5, 0], &[7, 5, 1]);
        let listed = "5 event(s) of its outbox are not in the log: partition 0 positions 3 to 6, partition 2 positions 0 to 0;";
        assert!(some.starts_with(listed) && some.contains("must be asked for again"), "{some}");
    }
}
