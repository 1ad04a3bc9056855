//! Why a writer had to be given up.

use event_log::{LogError, SendError};

use crate::kernel::comparison::CompareError;
use crate::kernel::group::GroupError;
use crate::kernel::writer::{ClaimError, Superseded};

/// Why a writer had to be given up.
#[derive(Debug, thiserror::Error)]
pub(super) enum RelayError {
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
