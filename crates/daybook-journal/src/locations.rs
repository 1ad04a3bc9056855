//! Which record has which positions of a partition. Of a position that several have the later one counts: an interrupted
//! carrying leaves records that have some positions of older ones.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::catalog::Location;
use crate::footer::Run;

/// Positions that follow one another, up to before `end`, and the record that has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    end: u64,
    location: Location,
}

/// One partition. No position is in two spans.
#[derive(Debug, Default)]
pub(crate) struct Locations {
    spans: BTreeMap<u64, Span>,
}

impl Locations {
    /// Takes a run of a segment in which is not older than any other that is here.
    pub(crate) fn put(&mut self, segment: u64, run: &Run) {
        let (first, end) = (run.first, run.end());
        if first == end {
            return;
        }
        let before = self.spans.range_mut(..first).next_back().filter(|(_, span)| span.end > first);
        let cut = before.map(|(_, span)| std::mem::replace(span, Span { end: first, ..*span }));
        let within: Vec<_> = self.spans.range(first..end).map(|(first, _)| *first).collect();
        let within = within.iter().filter_map(|first| self.spans.remove(first));
        let behind = cut.into_iter().chain(within).filter(|span| span.end > end).last();
        if let Some(span) = behind {
            self.spans.insert(end, span);
        }
        self.spans.insert(first, Span { end, location: Location { segment, block: run.block } });
    }

    pub(crate) fn at(&self, position: u64) -> Option<Location> {
        let (_, span) = self.spans.range(..=position).next_back()?;
        (position < span.end).then_some(span.location)
    }

    /// Of these positions, those that no record has.
    pub(crate) fn missing(&self, positions: Range<u64>) -> Vec<Range<u64>> {
        let before = self.spans.range(..positions.start).next_back().map(|(_, span)| span.end);
        let mut from = positions.start.max(before.unwrap_or(0));
        let mut missing = Vec::new();
        for (first, span) in self.spans.range(positions.clone()) {
            if *first > from {
                missing.push(from..*first);
            }
            from = span.end;
        }
        if positions.end > from {
            missing.push(from..positions.end);
        }
        missing
    }

    /// The first position that a record has.
    pub(crate) fn first(&self) -> Option<u64> {
        self.spans.first_key_value().map(|(position, _)| *position)
    }

    /// Forgets a segment, of which these are all runs.
    pub(crate) fn forget(&mut self, segment: u64, runs: &[Run]) {
        for run in runs.iter().filter(|run| run.first < run.end()) {
            let spans = self.spans.range(run.first..run.end());
            let of_segment = spans.filter(|(_, span)| span.location.segment == segment);
            let firsts: Vec<_> = of_segment.map(|(first, _)| *first).collect();
            for first in firsts {
                self.spans.remove(&first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_position_is_in_the_latest_record_that_has_it(
            runs in proptest::collection::vec((0_u64..30, 0_u32..12), 0..24), gone in 0_u64..8,
        ) {
            // Three runs to a segment; each lies in a block of its own.
            let runs: Vec<_> = (0..).zip(&runs).map(|(block, (first, count))| {
                (u64::from(block) / 3, Run { first: *first, count: *count, bytes: 1, block })
            }).collect();
            let mut locations = Locations::default();
            runs.iter().for_each(|(segment, run)| locations.put(*segment, run));
            // As it is done: the oldest go first.
            for gone in 0..gone {
                let of_it: Vec<_> =
                    runs.iter().filter(|(segment, _)| *segment == gone).map(|(_, run)| *run).collect();
                locations.forget(gone, &of_it);
            }
            let expected = |position: u64| {
                let has = |(segment, run): &&(u64, Run)| {
                    *segment >= gone && (run.first..run.end()).contains(&position)
                };
                let latest = runs.iter().rev().find(has);
                latest.map(|(segment, run)| Location { segment: *segment, block: run.block })
            };
            for position in 0..45 {
                prop_assert_eq!(locations.at(position), expected(position), "position {}", position);
            }
            for (from, to) in [(0, 45), (3, 17), (20, 21), (9, 9)] {
                let missing: Vec<_> = locations.missing(from..to).into_iter().flatten().collect();
                prop_assert_eq!(missing, (from..to).filter(|at| expected(*at).is_none()).collect::<Vec<_>>());
            }
            prop_assert_eq!(locations.first(), (0..45).find(|position| expected(*position).is_some()));
        }
    }
}
