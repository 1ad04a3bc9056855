//! Partitions that take no events at present, are not answered for, or stand still; and why.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::command::Undecided;
use crate::positions::state::State;
use crate::positions::{Failure, Positions};

/// Partitions that take no events at present. Whatever is decided has to pass it; see `Change::admit`.
#[derive(Debug)]
pub(crate) struct Shut(BTreeMap<usize, Undecided>);

impl Shut {
    /// Why a partition takes no events, if it takes none.
    pub(crate) fn why(&self, partition: usize) -> Option<&Undecided> {
        self.0.get(&partition)
    }

    /// A partition of which the log may have events that are not known here, if there is one: what its aggregates are, and which
    /// unique keys they have, may be out of date.
    pub(crate) fn unknown(&self) -> Option<&Undecided> {
        self.0.values().find(|why| matches!(why, Undecided::PartitionAway { .. }))
    }

    /// Why each of them takes nothing.
    pub(crate) fn reasons(&self) -> impl Iterator<Item = &Undecided> {
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
            let reason = state.why_uncompared(*partition);
            // While nobody answers for it, that is what is so.
            let differs = state.absent.is_unfit(*partition) && !state.unanswered.contains_key(partition);
            shut.insert(*partition, Undecided::PartitionAway { partition: *partition, reason, differs });
        }
        Shut(shut)
    }

    /// Why no partition takes anything, if none was compared with the log.
    pub(crate) fn all_uncompared(&self) -> Option<String> {
        let state = self.lock();
        let first = state.uncompared.first().filter(|_| state.uncompared.len() == state.durable.len())?;
        let why = state.why_uncompared(*first);
        Some(format!("no partition of the service's topic has been compared with what is stored here: {why}"))
    }
}

impl State {
    /// What stands in the way of a comparison: nobody answers, or what was compared does not fit.
    fn why_uncompared(&self, partition: usize) -> String {
        let is_about = |trouble: &&Failure| {
            trouble.partition.is_none_or(|about| usize::try_from(about) == Ok(partition))
        };
        let met = || Some(self.trouble.as_ref().filter(is_about)?.reason.clone());
        let why = self.unanswered.get(&partition).cloned().or_else(|| self.is_away(partition)).or_else(met);
        why.unwrap_or_else(|| "it is being compared".to_owned())
    }
}

// Partitions that the present writer does without, and when one of them is worth another claim. Pure.
//
// Each claim of one is a claim of all, and nothing is sent of any partition while claims are waited for.

/// A partition that somebody answers for and that could not be claimed all the same is claimed again after such a pause,
/// doubled each time.
const RETURN_PAUSE: Duration = Duration::from_secs(2);
const RETURN_PAUSE_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Default)]
pub(super) struct Absent {
    absences: BTreeMap<usize, Absence>,
    /// Those that hold what does not fit, and whether that may be otherwise by now.
    unfit: BTreeMap<usize, Unfit>,
}

#[derive(Debug, Clone, Copy)]
struct Absence {
    pause: Duration,
    /// When it may be claimed again, if it is back.
    claim_at: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Unfit {
    /// Where the partition ended when it was compared.
    end: i64,
    has_changed: bool,
}

impl Absent {
    /// A partition could not be claimed: the pause is longer each time that the watch finds it, and a claim does not.
    pub(super) fn insert(&mut self, partition: usize, is_answered: bool, now: Instant) {
        let pause = match self.absences.get(&partition) {
            None => Duration::ZERO,
            Some(absence) if !is_answered => absence.pause,
            Some(absence) => (absence.pause * 2).clamp(RETURN_PAUSE, RETURN_PAUSE_MAX),
        };
        self.absences.insert(partition, Absence { pause, claim_at: now + pause });
    }

    pub(super) fn remove(&mut self, partition: usize) {
        self.absences.remove(&partition);
    }

    /// These hold what does not fit, and end here.
    pub(super) fn set_unfit(&mut self, ends: impl Iterator<Item = (usize, i64)>) {
        self.unfit = ends.map(|(partition, end)| (partition, Unfit { end, has_changed: false })).collect();
    }

    pub(super) fn is_unfit(&self, partition: usize) -> bool {
        self.unfit.contains_key(&partition)
    }

    /// A partition ends here, or nobody answers for it (none), and what comes back may be another one.
    pub(super) fn ends(&mut self, partition: usize, end: Option<i64>) {
        if let Some(unfit) = self.unfit.get_mut(&partition) {
            unfit.has_changed |= end != Some(unfit.end);
        }
    }

    /// Whether a partition that is answered for is worth a claim: not before its pause is over, and not while it is the one
    /// that did not fit.
    pub(super) fn may_be_claimed(&self, partition: usize, now: Instant) -> bool {
        self.absences.get(&partition).is_none_or(|absence| absence.claim_at <= now)
            && self.unfit.get(&partition).is_none_or(|unfit| unfit.has_changed)
    }
}

// Partitions that stand still: something of them waits, and nothing is acknowledged, whatever keeps it back. Pure.
//
// Writers come and go while a partition stands still, each of them perhaps because of it: what it waits for is counted across
// them.

/// A partition of which nothing was acknowledged for so long is named.
pub(super) const STALLED_AFTER: Duration = Duration::from_secs(10);
/// Of one that goes on, nothing waits for longer.
const GOES_ON_WITHIN: Duration = Duration::from_secs(2);

/// Since when each partition has acknowledged nothing, as far as something of it waits.
#[derive(Debug, Clone)]
pub(super) struct Standing(Vec<Option<Instant>>);

impl Standing {
    pub(super) fn new(partitions: usize) -> Self {
        Self(vec![None; partitions])
    }

    /// This is how far partitions are durable and acknowledged: what waits now has done so from now on, if it has not before.
    pub(super) fn note(&mut self, durable: &[u64], acknowledged: &[u64], now: Instant) {
        for (since, (durable, acknowledged)) in self.0.iter_mut().zip(durable.iter().zip(acknowledged)) {
            *since = (durable > acknowledged).then(|| since.unwrap_or(now));
        }
    }

    /// A partition has acknowledged something; more of it may wait.
    pub(super) fn moved(&mut self, partition: usize, more_waits: bool, now: Instant) {
        self.0[partition] = more_waits.then_some(now);
    }

    pub(super) fn waited(&self, partition: usize, now: Instant) -> Option<Duration> {
        let since = self.0.get(partition).copied().flatten()?;
        Some(now.saturating_duration_since(since))
    }

    pub(super) fn stalled(&self, partition: usize, now: Instant) -> Option<Duration> {
        self.waited(partition, now).filter(|waited| *waited >= STALLED_AFTER)
    }

    /// Whether a partition takes what is sent to it, as far as is known.
    pub(super) fn goes_on(&self, partition: usize, now: Instant) -> bool {
        self.waited(partition, now).is_none_or(|waited| waited < GOES_ON_WITHIN)
    }
}

/// What is said of some partitions, by their numbers, as one text; that the others go on, if there are any and all of them do.
pub(super) fn said(of_each: Vec<Option<String>>, goes_on: impl Fn(usize) -> bool) -> Option<String> {
    let mut others = (0..of_each.len()).filter(|partition| of_each[*partition].is_none()).peekable();
    let others_go_on = others.peek().is_some() && others.all(goes_on);
    let mut said: Vec<_> = of_each.into_iter().flatten().collect();
    if said.is_empty() {
        return None;
    }
    said.extend(others_go_on.then(|| "the other partitions go on".to_owned()));
    Some(said.join("; "))
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
mod absent_tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_claimed_again_once_it_is_no_longer_what_it_was() {
        let (mut absent, now) = (Absent::default(), Instant::now());
        let later = now + RETURN_PAUSE_MAX;
        let not_claimed = |absent: &mut Absent| {
            absent.set_unfit([(1, 7)].into_iter());
            absent.insert(1, true, now);
            absent.ends(1, Some(7));
        };
        not_claimed(&mut absent);
        assert!(!absent.may_be_claimed(1, later) && absent.may_be_claimed(0, now));
        for changed in [Some(6), Some(8), None] {
            absent.ends(1, changed);
            absent.ends(1, Some(7));
            assert!(absent.may_be_claimed(1, later), "{changed:?}");
            not_claimed(&mut absent);
            assert!(!absent.may_be_claimed(1, later));
        }
        absent.ends(1, Some(8));
        assert!(!absent.may_be_claimed(1, now), "the pause is kept all the same");
        absent.set_unfit(std::iter::empty());
        absent.remove(1);
        assert!(absent.may_be_claimed(1, now));
    }
}

#[cfg(test)]
mod standing_tests {
    use super::*;

    #[test]
    fn that_others_go_on_is_said_only_where_it_is_so() {
        let named = |partitions: [bool; 3]| {
            let of_each = partitions.iter().enumerate();
            of_each.map(|(number, is_named)| is_named.then(|| format!("{number} stands"))).collect()
        };
        assert_eq!(said(named([false; 3]), |_| true), None);
        let one = said(named([false, true, false]), |_| true);
        assert_eq!(one.as_deref(), Some("1 stands; the other partitions go on"));
        let one = said(named([false, true, false]), |partition| partition == 0);
        assert_eq!(one.as_deref(), Some("1 stands"), "of the last one that is not known");
        let all = said(named([true; 3]), |_| true);
        assert_eq!(all.as_deref(), Some("0 stands; 1 stands; 2 stands"), "there are no others");
    }

    #[test]
    fn what_waits_is_counted_from_its_first_moment_to_the_next_acknowledgement() {
        let (mut standing, began) = (Standing::new(2), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        standing.note(&[5, 0], &[0, 0], at(0));
        standing.note(&[7, 0], &[0, 0], at(8));
        assert_eq!([0, 1].map(|partition| standing.stalled(partition, at(10))), [Some(STALLED_AFTER), None]);
        assert!(!standing.goes_on(0, at(3)) && standing.goes_on(1, at(3)));
        standing.moved(0, true, at(12));
        assert!(standing.goes_on(0, at(13)) && standing.stalled(0, at(21)).is_none());
        assert!(standing.stalled(0, at(22)).is_some(), "more of it waits");
        standing.moved(0, false, at(23));
        assert_eq!(standing.waited(0, at(60)), None);
    }
}
