//! Why a writer had to be given up, or a partition, and how long the relay waits then.

use std::collections::BTreeMap;
use std::time::Duration;

use daybook_journal::ReadError;
use daybook_kafka::{LogError, SendError};
use daybook_service::Pause;

use crate::fencing::{ClaimError, Fenced};
use crate::outbox::positions::Failure;
use crate::reconcile::CompareError;

/// What to do about a partition of which nothing more can be sent.
const HALTED: &str = "nothing more of it is sent: keep a copy of the service's directory, then start with --recover, which \
                      names what it cannot take over";

/// Whether bytes are not what was written: reading them again does not help.
fn is_damage(error: &ReadError) -> bool {
    matches!(error, ReadError::Damaged { .. })
}

fn and_halted(error: &ReadError) -> String {
    if is_damage(error) { format!("; {HALTED}") } else { String::new() }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum RelayError {
    #[error(transparent)]
    Open(#[from] LogError),
    #[error("partition {partition}: {source}")]
    Send { partition: i32, source: SendError },
    #[error("partition {partition}: the journal cannot be read: {source}{}", and_halted(source))]
    Outbox { partition: i32, source: ReadError },
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error("{0}")]
    Fenced(Box<Fenced>),
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

// How long the relay waits before it begins again: longer each time, as long as what stopped it has not moved. Pure.
//
// Each new attempt claims the topic, so what stops one partition for good must not make a claim every moment only because
// the others go on.

/// Pause before the first new attempt, doubled up to [`RETRY_PAUSE_MAX`].
const RETRY_PAUSE: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Of each partition that stopped the relay: what was acknowledged then, of it or of all, and its pauses; under `None` those of
/// what is about no single one.
#[derive(Debug, Default)]
pub(super) struct Pauses(BTreeMap<Option<i32>, (u64, Pause)>);

impl Pauses {
    /// The pause after a failure of this partition, or of none in particular; `acknowledged` is per partition.
    pub(super) fn next(&mut self, partition: Option<i32>, acknowledged: &[u64]) -> Duration {
        let of_it =
            |partition| usize::try_from(partition).ok().and_then(|index| acknowledged.get(index)).copied();
        let now = partition.map_or_else(|| acknowledged.iter().sum(), |it| of_it(it).unwrap_or(0));
        let first = (now, Pause::new(RETRY_PAUSE, RETRY_PAUSE_MAX));
        let (before, pause) = self.0.entry(partition).or_insert(first);
        if std::mem::replace(before, now) != now {
            pause.reset();
        }
        pause.longer()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_of_a_partition_grows_whatever_the_others_do() {
        let mut pauses = Pauses::default();
        let grown: Vec<_> = (0..8).map(|moved| pauses.next(Some(1), &[moved, 7]).as_millis()).collect();
        assert_eq!(grown, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(pauses.next(Some(0), &[9, 7]), RETRY_PAUSE, "another one stops for the first time");
        assert_eq!(pauses.next(Some(1), &[9, 7]), RETRY_PAUSE_MAX);
        assert_eq!(pauses.next(Some(1), &[9, 8]), RETRY_PAUSE, "it has moved");
    }

    #[test]
    fn what_is_about_no_single_partition_is_over_once_anything_moves() {
        let mut pauses = Pauses::default();
        assert_eq!([0, 0].map(|_| pauses.next(None, &[1, 1]).as_millis()), [100, 200]);
        assert_eq!(pauses.next(None, &[1, 2]), RETRY_PAUSE);
    }
}
