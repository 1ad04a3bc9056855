//! Partitions that stand still: something of them waits, and nothing is acknowledged, whatever keeps it back. Pure.
//!
//! Writers come and go while a partition stands still, each of them perhaps because of it: what it waits for is counted across
//! them.

use std::time::{Duration, Instant};

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
