//! Why a topic could not be claimed.

use daybook_event::envelope::EPOCH_MAX;
use daybook_kafka::{LogError, SendError};

use super::superseded::OtherInstance;
use super::{InstanceError, Superseded};
use crate::comparison::CompareError;

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
