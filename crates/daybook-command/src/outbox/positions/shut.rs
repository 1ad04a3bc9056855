//! Partitions that take no events at present, are not answered for, or stand still; and why.

use std::collections::BTreeMap;

use crate::command::CommandError;
use crate::outbox::positions::Positions;
use crate::outbox::positions::state::State;

/// Partitions that take no events at present. Whatever is decided has to pass it; see `Change::admit`.
#[derive(Debug)]
pub(crate) struct Shut(BTreeMap<usize, CommandError>);

impl Shut {
    /// Why a partition takes no events, if it takes none.
    pub(crate) fn why(&self, partition: usize) -> Option<&CommandError> {
        self.0.get(&partition)
    }

    /// A partition of which the log may have events that are not known here, if there is one: what its aggregates are, and which
    /// unique keys they have, may be out of date.
    pub(crate) fn unknown(&self) -> Option<&CommandError> {
        self.0.values().find(|why| matches!(why, CommandError::PartitionAway { .. }))
    }

    /// Why each of them takes nothing.
    pub(crate) fn reasons(&self) -> impl Iterator<Item = &CommandError> {
        self.0.values()
    }

    /// Which partitions take nothing, and why; none if there are none. `has_unique_keys` says whether the service's aggregates
    /// have any.
    pub(crate) fn said(&self, has_unique_keys: bool) -> Option<String> {
        let mut said: Vec<_> = self.0.values().map(ToString::to_string).collect();
        if has_unique_keys && self.unknown().is_some() {
            said.push("no command takes a unique key before that is known of all partitions".to_owned());
        }
        (!said.is_empty()).then(|| said.join("; "))
    }
}

impl Positions {
    /// What was not compared with the log, or did not fit, is shut: an old copy of a directory would give out positions that are given out.
    /// So is a partition that has its share of `unsent_events_max` once half of that is used: it leaves the rest to the others.
    pub(crate) fn shut(&self, unsent_events_max: u64) -> Shut {
        let state = self.lock();
        let mut shut = BTreeMap::new();
        let share = (unsent_events_max / (state.partitions.len() as u64).max(1)).max(1);
        let is_shared = state.unsent() >= unsent_events_max / 2;
        for (index, partition) in state.partitions.iter().enumerate() {
            let unsent = partition.unsent();
            if !partition.is_compared {
                let reason = state.why_uncompared(index);
                // While nobody answers for it, that is what is so.
                let differs = partition.diverged.is_some() && partition.unanswered.is_none();
                shut.insert(index, CommandError::PartitionAway { partition: index, reason, differs });
            } else if is_shared && unsent >= share {
                shut.insert(index, CommandError::PartitionFull { partition: index, unsent });
            }
        }
        Shut(shut)
    }

    /// Why no partition takes anything, if none was compared with the log.
    pub(crate) fn all_uncompared(&self) -> Option<String> {
        let state = self.lock();
        if state.partitions.is_empty() || state.partitions.iter().any(|partition| partition.is_compared) {
            return None;
        }
        let why = state.why_uncompared(0);
        Some(format!("no partition of the service's topic has been compared with what is stored here: {why}"))
    }
}

impl State {
    /// What stands in the way of a comparison: nobody answers, or what was compared does not fit.
    fn why_uncompared(&self, index: usize) -> String {
        let partition = &self.partitions[index];
        let met = || Some(self.trouble.as_ref().filter(|trouble| trouble.is_about(index))?.reason.clone());
        let why = partition.unanswered.clone().or_else(|| partition.away()).or_else(met);
        why.unwrap_or_else(|| "it is being compared".to_owned())
    }
}

/// What is said of some partitions, by their numbers, as one text; that the others continue, if there are any and all of them do.
pub(super) fn said(of_each: Vec<Option<String>>, continues: impl Fn(usize) -> bool) -> Option<String> {
    let mut others = (0..of_each.len()).filter(|partition| of_each[*partition].is_none()).peekable();
    let others_continue = others.peek().is_some() && others.all(continues);
    let mut said: Vec<_> = of_each.into_iter().flatten().collect();
    if said.is_empty() {
        return None;
    }
    said.extend(others_continue.then(|| "the other partitions continue".to_owned()));
    Some(said.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::positions::Failure;

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
        assert!(matches!(shut.why(1), Some(CommandError::PartitionAway { partition: 1, .. })), "{shut:?}");
    }

    #[test]
    fn what_stands_in_the_way_of_a_comparison_is_said() {
        let positions = Positions::new(vec![0; 2], vec![0; 2]);
        let said = || positions.shut(30).said(false).unwrap_or_default();
        assert!(positions.all_uncompared().unwrap().contains("it is being compared"));
        let reason = "the store is older than the log".to_owned();
        positions.set_trouble(Failure { partition: None, reason });
        assert!(said().contains("older") && positions.all_uncompared().unwrap().contains("older"));
        positions.set_acknowledged(&[None, Some(0)]);
        positions.set_trouble(Failure { partition: Some(1), reason: "too large".to_owned() });
        assert!(said().contains("what the log has of partition 0 is not known"), "{}", said());
        assert!(!said().contains("too large"), "that is about the other one");
        assert_eq!(positions.all_uncompared(), None, "one takes commands");
        positions.set_acknowledged(&[Some(0); 2]);
        assert_eq!(said(), "");
    }

    #[test]
    fn unique_keys_are_spoken_of_where_there_are_any() {
        let positions = Positions::new(vec![15, 0], vec![0; 2]);
        let speaks = |has_unique_keys| {
            let said = positions.shut(30).said(has_unique_keys).unwrap();
            said.contains("unique key")
        };
        positions.set_acknowledged(&[Some(0), None]);
        assert!(speaks(true) && !speaks(false));
        positions.set_acknowledged(&[Some(0), Some(0)]);
        assert!(!speaks(true), "partition 0 is full, and known");
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

#[cfg(test)]
mod standing_tests {
    use super::*;

    #[test]
    fn that_others_continue_is_said_only_where_it_is_so() {
        let named = |partitions: [bool; 3]| {
            let of_each = partitions.iter().enumerate();
            of_each.map(|(number, is_named)| is_named.then(|| format!("{number} stands"))).collect()
        };
        assert_eq!(said(named([false; 3]), |_| true), None);
        let one = said(named([false, true, false]), |_| true);
        assert_eq!(one.as_deref(), Some("1 stands; the other partitions continue"));
        let one = said(named([false, true, false]), |partition| partition == 0);
        assert_eq!(one.as_deref(), Some("1 stands"), "of the last one that is not known");
        let all = said(named([true; 3]), |_| true);
        assert_eq!(all.as_deref(), Some("0 stands; 1 stands; 2 stands"), "there are no others");
    }
}
