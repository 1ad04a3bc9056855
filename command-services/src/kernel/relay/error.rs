//! Why a writer had to be given up, or a partition.

use event_log::{LogError, SendError};

use crate::kernel::comparison::CompareError;
use crate::kernel::group::GroupError;
use crate::kernel::positions::Failure;
use crate::kernel::writer::{ClaimError, Superseded};

/// What to do about a partition of which nothing more can be sent.
const HALTED: &str = "nothing more of it is sent: keep a copy of the service's directory, then start with --recover, which \
                      names what it cannot take over";

/// Why a writer had to be given up, or a partition.
#[derive(Debug, thiserror::Error)]
pub(super) enum RelayError {
    #[error(transparent)]
    Open(#[from] LogError),
    #[error("partition {partition}: {source}")]
    Send { partition: i32, source: SendError },
    #[error("partition {partition}: the outbox cannot be read: {source}")]
    Outbox { partition: i32, source: GroupError },
    #[error(transparent)]
    Store(#[from] GroupError),
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error("{0}")]
    Superseded(Box<Superseded>),
    #[error(
        "partition {partition}: the outbox has at position {position} what was not sealed by this program; {HALTED}"
    )]
    Unsealed { partition: i32, position: u64 },
    #[error("{}", .0.reason)]
    Delivery(Failure),
    #[error("the service stops before Kafka is back")]
    Stopping,
    #[error("partition {partition}: the outbox has no event at position {position}; {HALTED}")]
    Missing { partition: i32, position: u64 },
}

impl RelayError {
    /// Whether no new attempt of this process can succeed where this one stopped.
    pub(super) fn never_passes(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::Unsealed { .. } => true,
            Self::Outbox { source, .. } => matches!(source, GroupError::Damaged(_)),
            _ => false,
        }
    }

    /// The partition that keeps the relay from going on, if it is one.
    pub(super) fn partition(&self) -> Option<i32> {
        match self {
            Self::Send { partition, .. } | Self::Outbox { partition, .. } => Some(*partition),
            Self::Delivery(failure) => failure.partition,
            _ => None,
        }
    }
}
