//! Why a writer had to be given up, or a partition.

use daybook_journal::ReadError;
use daybook_kafka::{LogError, SendError};

use crate::positions::Failure;
use crate::reconcile::CompareError;
use crate::writer::{ClaimError, Superseded};

/// What to do about a partition of which nothing more can be sent.
const HALTED: &str = "nothing more of it is sent: keep a copy of the service's directory, then start with --recover, which \
                      names what it cannot take over";

/// The same behind another sentence.
const AND_HALTED: &str = "; nothing more of it is sent: keep a copy of the service's directory, then start with --recover, which names \
                          what it cannot take over";

/// Whether bytes are not what was written: reading them again does not help.
fn is_damage(error: &ReadError) -> bool {
    matches!(error, ReadError::Damaged { .. })
}

#[derive(Debug, thiserror::Error)]
pub(super) enum RelayError {
    #[error(transparent)]
    Open(#[from] LogError),
    #[error("partition {partition}: {source}")]
    Send { partition: i32, source: SendError },
    #[error("partition {partition}: the journal cannot be read: {source}{}", if is_damage(source) { AND_HALTED } else { "" })]
    Outbox { partition: i32, source: ReadError },
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error("{0}")]
    Superseded(Box<Superseded>),
    #[error(
        "partition {partition}: the journal has at position {position} what was not sealed by this program; {HALTED}"
    )]
    Unsealed { partition: i32, position: u64 },
    #[error(
        "the brokers are of cluster {found} now, and were of {known}: nothing is sent to another cluster; correct --brokers"
    )]
    OtherCluster { known: String, found: String },
    #[error("{}", .0.reason)]
    Delivery(Failure),
    /// Nothing is wrong: there is one more to claim.
    #[error("partition {partition} is there again, and is claimed if it fits")]
    Returned { partition: i32 },
    #[error("the service stops before Kafka is back")]
    Stopping,
    #[error("partition {partition}: the journal has no event at position {position}; {HALTED}")]
    Missing { partition: i32, position: u64 },
}

impl RelayError {
    /// Whether no new attempt of this process can succeed where this one stopped.
    pub(super) fn never_passes(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::Unsealed { .. } => true,
            Self::Outbox { source, .. } => is_damage(source),
            _ => false,
        }
    }

    /// The partition that keeps the relay from going on, if it is one.
    pub(super) fn partition(&self) -> Option<i32> {
        match self {
            Self::Send { partition, .. } | Self::Outbox { partition, .. } | Self::Returned { partition } => {
                Some(*partition)
            }
            Self::Delivery(failure) => failure.partition,
            _ => None,
        }
    }
}
