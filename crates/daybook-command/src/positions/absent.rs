//! Partitions that the present writer does without, and when one of them is worth another claim. Pure.
//!
//! Each claim of one is a claim of all, and nothing is sent of any partition while claims are waited for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A partition that somebody answers for and that could not be claimed all the same is claimed again after such a pause,
/// doubled each time.
const RETURN_PAUSE: Duration = Duration::from_secs(2);
const RETURN_PAUSE_MAX: Duration = Duration::from_secs(60);

/// Partitions that were not claimed by the last writer.
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

#[cfg(test)]
mod tests {
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
