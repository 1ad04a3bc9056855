//! Where one partition stands at one moment, and when it is worth another claim. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::fencing::{ExpectedOffsets, Lies};
use crate::outbox::positions::Rest;

/// A partition that is answered for and that could not be claimed all the same is claimed again after such a pause,
/// doubled each time: each claim of one is a claim of all, and nothing is sent of any partition while claims are waited for.
const RETURN_PAUSE: Duration = Duration::from_secs(2);
const RETURN_PAUSE_MAX: Duration = Duration::from_secs(60);
/// A partition of which nothing was acknowledged for so long is named. Writers come and go meanwhile, each of them perhaps
/// because of it: what it waits for is counted across them.
pub(super) const STALLED_AFTER: Duration = Duration::from_secs(10);
/// Of one that goes on, nothing waits for longer.
const GOES_ON_WITHIN: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Default)]
pub(super) struct Partition {
    pub(super) durable: u64,
    pub(super) acknowledged: u64,
    /// It was compared with the log since this process began; until then the log may have other events there.
    pub(super) is_compared: bool,
    /// None if it is not claimed.
    pub(super) expected: Option<ExpectedOffsets>,
    /// Up to where it is to be read, because it holds what the present writer did not send.
    pub(super) unexplained: Option<i64>,
    /// Positions and offsets of records that were acknowledged behind that: they count once it is known to leave the writer in force.
    pub(super) held: VecDeque<(u64, i64)>,
    /// Since when something of it waits, and nothing is acknowledged.
    pub(super) waits_since: Option<Instant>,
    pub(super) rest: Option<Rest>,
    absence: Option<Absence>,
    pub(super) diverged: Option<Diverged>,
    /// Why nobody answers for it at present, in the words of the watch.
    pub(super) unanswered: Option<String>,
    /// The relay waits for deliveries of it.
    pub(super) is_awaited: bool,
}

/// It could not be claimed.
#[derive(Debug, Clone, Copy)]
struct Absence {
    pause: Duration,
    /// When it may be claimed again, if it is back.
    claim_at: Instant,
}

/// It holds what does not fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Diverged {
    /// Where it ended when it was compared.
    pub(super) end: i64,
    /// Whether that may be otherwise by now.
    pub(super) has_changed: bool,
}

impl Partition {
    pub(super) fn new(durable: u64, acknowledged: u64) -> Self {
        Self { durable, acknowledged, ..Self::default() }
    }

    pub(super) fn unsent(&self) -> u64 {
        self.durable.saturating_sub(self.acknowledged)
    }

    /// What waits now has done so from now on, if it has not before.
    pub(super) fn note_waiting(&mut self, now: Instant) {
        self.waits_since = (self.unsent() > 0).then(|| self.waits_since.unwrap_or(now));
    }

    pub(super) fn waited(&self, now: Instant) -> Option<Duration> {
        Some(now.saturating_duration_since(self.waits_since?))
    }

    pub(super) fn stalled(&self, now: Instant) -> Option<Duration> {
        self.waited(now).filter(|waited| *waited >= STALLED_AFTER)
    }

    /// Whether it takes what is sent to it, as far as is known.
    pub(super) fn continues(&self, now: Instant) -> bool {
        self.waited(now).is_none_or(|waited| waited < GOES_ON_WITHIN)
    }

    /// Why the present writer does without it, if it does.
    pub(super) fn away(&self) -> Option<String> {
        match self.rest.as_ref()? {
            Rest::Away(reason) => Some(reason.clone()),
            Rest::Halted(_) => None,
        }
    }

    pub(super) fn halted(&self) -> Option<String> {
        match self.rest.as_ref()? {
            Rest::Halted(reason) => Some(reason.clone()),
            Rest::Away(_) => None,
        }
    }

    pub(super) fn is_unexplained(&mut self, to: i64) {
        self.unexplained = self.unexplained.max(Some(to));
    }

    /// Takes acknowledgements that were held, as far as what lies before them is known; how many.
    pub(super) fn take_held(&mut self, now: Instant) -> Result<usize, String> {
        let mut taken = 0;
        while let Some((position, offset)) = self.held.front().copied() {
            let lies = self.expected.as_mut().map_or(Ok(Lies::AsExpected), |it| it.delivered(offset))?;
            if let Lies::Further { to } = lies {
                self.is_unexplained(to);
                break;
            }
            self.acknowledged = position + 1;
            self.waits_since = (self.unsent() > 0).then_some(now);
            self.held.pop_front();
            taken += 1;
        }
        Ok(taken)
    }

    /// It could not be claimed: the pause is longer each time that the watch finds it, and a claim does not.
    pub(super) fn not_claimed(&mut self, reason: &str, now: Instant) {
        self.rest.get_or_insert_with(|| Rest::Away(reason.to_owned()));
        let pause = match self.absence {
            None => Duration::ZERO,
            Some(absence) if self.unanswered.is_some() => absence.pause,
            Some(absence) => (absence.pause * 2).clamp(RETURN_PAUSE, RETURN_PAUSE_MAX),
        };
        self.absence = Some(Absence { pause, claim_at: now + pause });
    }

    pub(super) fn claimed(&mut self, end: i64) {
        self.expected = Some(ExpectedOffsets::behind(end));
        self.absence = None;
    }

    /// It ends here, or nobody answers for it (none), and what comes back may be another one.
    pub(super) fn ends(&mut self, end: Option<i64>) {
        if let Some(diverged) = &mut self.diverged {
            diverged.has_changed |= end != Some(diverged.end);
        }
    }

    /// Whether it is worth a claim once it is answered for: not before its pause is over, and not while it is the one that did not
    /// fit.
    pub(super) fn may_be_claimed(&self, now: Instant) -> bool {
        self.absence.is_none_or(|absence| absence.claim_at <= now)
            && self.diverged.is_none_or(|diverged| diverged.has_changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_claimed_again_once_it_is_no_longer_what_it_was() {
        let (mut partition, now) = (Partition::default(), Instant::now());
        let later = now + RETURN_PAUSE_MAX;
        let not_claimed = |partition: &mut Partition| {
            partition.diverged = Some(Diverged { end: 7, has_changed: false });
            partition.not_claimed("it does not fit", now);
            partition.ends(Some(7));
        };
        assert!(partition.may_be_claimed(now));
        not_claimed(&mut partition);
        assert!(!partition.may_be_claimed(later));
        for changed in [Some(6), Some(8), None] {
            partition.ends(changed);
            partition.ends(Some(7));
            assert!(partition.may_be_claimed(later), "{changed:?}");
            not_claimed(&mut partition);
            assert!(!partition.may_be_claimed(later));
        }
        partition.ends(Some(8));
        assert!(!partition.may_be_claimed(now), "the pause is kept all the same");
        partition.diverged = None;
        partition.claimed(7);
        assert!(partition.may_be_claimed(now));
    }

    #[test]
    fn what_waits_is_counted_from_its_first_moment_to_the_next_acknowledgement() {
        let (mut partition, began) = (Partition::new(5, 0), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        assert!(partition.continues(at(3)), "nothing waits");
        partition.note_waiting(at(0));
        partition.durable = 7;
        partition.note_waiting(at(8));
        assert_eq!(partition.stalled(at(10)), Some(STALLED_AFTER));
        assert!(!partition.continues(at(3)));
        partition.held.push_back((0, 1));
        assert_eq!(partition.take_held(at(12)), Ok(1));
        assert!(partition.continues(at(13)) && partition.stalled(at(21)).is_none());
        assert!(partition.stalled(at(22)).is_some(), "more of it waits");
        partition.held.extend((1..7).map(|position| (position, 1)));
        assert_eq!(partition.take_held(at(23)), Ok(6));
        assert_eq!(partition.waited(at(60)), None);
    }
}
