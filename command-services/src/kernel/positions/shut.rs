//! Partitions that take no events at present, and why.

use std::collections::BTreeMap;

use crate::kernel::command::Undecided;
use crate::kernel::positions::Positions;

/// Partitions that take no events at present. Whatever is decided has to pass it; see `Change::admit`.
#[derive(Debug)]
pub(crate) struct Shut(BTreeMap<usize, Undecided>);

impl Shut {
    /// Why a partition takes no events, if it takes none.
    pub(crate) fn why(&self, partition: usize) -> Option<&Undecided> {
        self.0.get(&partition)
    }
}

impl Positions {
    /// What was not compared with the log yet is shut: an old copy of a directory would give out positions that are given out.
    /// So is a partition that has its share of `unsent_events_max` once half of that is used: it leaves the rest to the others.
    pub(crate) fn shut(&self, unsent_events_max: u64) -> Shut {
        let state = self.lock();
        let mut shut = BTreeMap::new();
        let share = (unsent_events_max / (state.durable.len() as u64).max(1)).max(1);
        if state.unsent() >= unsent_events_max / 2 {
            for (partition, (durable, acknowledged)) in
                state.durable.iter().zip(&state.acknowledged).enumerate()
            {
                let unsent = durable.saturating_sub(*acknowledged);
                if unsent >= share {
                    shut.insert(partition, Undecided::PartitionFull { partition, unsent });
                }
            }
        }
        for partition in &state.uncompared {
            let why = state.unanswered.get(partition).cloned().or_else(|| state.is_away(*partition));
            let reason = why.unwrap_or_else(|| "it is being compared".to_owned());
            shut.insert(*partition, Undecided::PartitionAway { partition: *partition, reason });
        }
        Shut(shut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shut(positions: &Positions) -> Vec<usize> {
        positions.shut(30).0.into_keys().collect()
    }

    #[test]
    fn a_partition_that_was_not_compared_takes_nothing() {
        let positions = Positions::new(vec![0; 3], vec![0; 3]);
        assert_eq!(shut(&positions), [0, 1, 2]);
        positions.set_acknowledged(&[Some(0), None, Some(0)]);
        assert_eq!(shut(&positions), [1]);
        let shut = positions.shut(30);
        assert!(matches!(shut.why(1), Some(Undecided::PartitionAway { partition: 1, .. })), "{shut:?}");
    }

    #[test]
    fn one_partition_cannot_use_up_what_may_wait_of_all() {
        let positions = Positions::new(vec![0; 3], vec![0; 3]);
        positions.set_acknowledged(&[Some(0); 3]);
        positions.set_durable(vec![14, 0, 0]);
        assert!(shut(&positions).is_empty(), "less than half waits");
        positions.set_durable(vec![15, 0, 0]);
        assert_eq!(shut(&positions), [0]);
        positions.set_durable(vec![10, 9, 0]);
        assert_eq!(shut(&positions), [0]);
        positions.set_durable(vec![10, 10, 9]);
        assert_eq!(shut(&positions), [0, 1]);
    }
}
