//! Why a topic could not be claimed.

use daybook_event::envelope::EPOCH_MAX;
use daybook_kafka::{LogError, SendError};

use super::superseded::OtherInstance;
use super::{InstanceError, Superseded};
use crate::comparison::CompareError;

/// Why a topic could not be claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another instance writes it.
    #[error(transparent)]
    Other(#[from] OtherInstance),
    /// Another one claimed at the same time and came first, or later took over.
    #[error("{0}, at the same time as this process, which has sent no event; stop one of the two for good")]
    Lost(Box<Superseded>),
    /// The topic cannot be read, or holds what it must not.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// No producer.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The claim was not taken.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The claim cannot be written down.
    #[error("a claim cannot be sealed: {reason}")]
    Unsealed {
        /// Why.
        reason: String,
    },
    /// Every partition has refused its claim, or not acknowledged it in time.
    #[error(
        "no partition has taken the claim with which this process would write it, so nothing is sent, and it is tried again: {reason}"
    )]
    NoneTaken {
        /// Why the first of them has not.
        reason: String,
    },
    /// The log ended before what had been read of it.
    #[error("partition {partition} went back while it was being claimed: the log has lost its end")]
    WentBack {
        /// The partition.
        partition: i32,
    },
    /// The claim was acknowledged, and cannot be read back.
    #[error(
        "Kafka acknowledged the claim to partition {partition} at offset {offset}, and the log does not have it there; this \
         process sends nothing, check the brokers' logs and start again"
    )]
    NotThere {
        /// The partition.
        partition: i32,
        /// Where it should lie.
        offset: i64,
    },
    /// The epoch cannot be noted.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// No epoch is left.
    #[error(
        "topic {topic} was claimed with epoch {EPOCH_MAX}, beyond which there is none: create a new topic and bring the events there"
    )]
    NoEpochLeft {
        /// Full name of the topic.
        topic: String,
    },
}
