//! How long the relay waits before it begins anew: longer each time, as long as what stopped it has not moved. Pure.
//!
//! Each new attempt claims the topic, so what stops one partition for good must not make a claim every moment only because
//! the others go on.

use std::collections::BTreeMap;
use std::time::Duration;

/// Pause before the first new attempt, doubled up to [`RETRY_PAUSE_MAX`].
const RETRY_PAUSE: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// The last pause of each partition that stopped the relay; under `None` that of what is about no single one.
#[derive(Debug, Default)]
pub(super) struct Pauses(BTreeMap<Option<i32>, Last>);

#[derive(Debug)]
struct Last {
    /// Positions that were acknowledged then, of the partition or of all.
    acknowledged: u64,
    pause: Duration,
}

impl Pauses {
    /// The pause after a failure of this partition, or of none in particular; `acknowledged` is per partition.
    pub(super) fn next(&mut self, partition: Option<i32>, acknowledged: &[u64]) -> Duration {
        let of_it =
            |partition| usize::try_from(partition).ok().and_then(|index| acknowledged.get(index)).copied();
        let acknowledged = partition.map_or_else(|| acknowledged.iter().sum(), |it| of_it(it).unwrap_or(0));
        let stands_still = |last: &&Last| last.acknowledged == acknowledged;
        let longer = |last: &Last| RETRY_PAUSE_MAX.min(last.pause * 2);
        let pause = self.0.get(&partition).filter(stands_still).map_or(RETRY_PAUSE, longer);
        self.0.insert(partition, Last { acknowledged, pause });
        pause
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
