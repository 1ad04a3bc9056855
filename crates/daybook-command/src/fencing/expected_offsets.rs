//! At which offsets of a partition the records of the present writer lie: behind its claim, one after the other. Pure.
//!
//! What lies in between is another writer's. It may be nothing but records that are set aside, which leave the writer in force; so whoever
//! meets it reads it ([`Unexplained`]), and only what says otherwise ends the writer.

use std::collections::VecDeque;
use std::ops::Range;

/// Offsets of a partition that hold what the present writer did not send, among what it sent: nobody has read them yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unexplained {
    pub(crate) partition: usize,
    /// Right behind the last record that was acknowledged.
    pub(crate) from: i64,
    pub(crate) to: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lies {
    /// The record lies where it must.
    AsExpected,
    /// It lies further on. What lies up to there is to be read first.
    Further { to: i64 },
}

#[derive(Debug, Clone, Default)]
pub(crate) struct ExpectedOffsets {
    /// Right behind the last record that was acknowledged.
    pub(crate) behind: Option<i64>,
    /// The first offset that the next record can have.
    pub(crate) next: i64,
    /// Sent and not acknowledged.
    pub(crate) in_flight: i64,
    /// Offsets from `next` on that hold what was set aside, in order.
    others: VecDeque<Range<i64>>,
}

impl ExpectedOffsets {
    /// Nothing was sent since this claim, which ends at `next`.
    pub(crate) fn behind(next: i64) -> Self {
        Self { next, ..Self::default() }
    }

    /// The next record lies at `offset`; the error says that it cannot.
    pub(crate) fn delivered(&mut self, offset: i64) -> Result<Lies, String> {
        let next = self.next;
        if offset > next {
            return Ok(Lies::Further { to: offset + 1 });
        }
        if offset < next {
            return Err(format!("took an event at offset {offset}, not at {next}: the log has lost its end"));
        }
        self.in_flight -= 1;
        self.next += 1;
        self.behind = Some(self.next);
        self.skip_others();
        Ok(Lies::AsExpected)
    }

    /// Whether the partition, which ends at `end`, ends further on than with all that was sent.
    pub(crate) fn has_more(&self, end: i64) -> bool {
        let others: i64 = self.others.iter().map(|range| range.end - range.start).sum();
        end > self.next + self.in_flight + others
    }

    /// These offsets were read, and hold what was set aside but for the present writer's own records at `own`.
    pub(crate) fn explain(&mut self, read: Range<i64>, own: &[i64]) {
        let next = read.start.max(self.next);
        let mut from = next;
        let ends = own.iter().copied().filter(|offset| *offset >= next).chain([read.end]);
        let mut others = VecDeque::new();
        for end in ends {
            if from < end {
                others.push_back(from..end);
            }
            from = end + 1;
        }
        others.extend(self.others.iter().filter(|range| range.start >= read.end).cloned());
        self.others = others;
        self.skip_others();
    }

    fn skip_others(&mut self) {
        while let Some(range) = self.others.pop_front_if(|range| range.start <= self.next) {
            self.next = self.next.max(range.end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_lie_one_after_the_other_behind_the_claim() {
        let mut expected = ExpectedOffsets::behind(10);
        assert!(!expected.has_more(10));
        expected.in_flight = 2;
        assert!(!expected.has_more(12) && expected.has_more(13));
        assert_eq!(expected.delivered(10), Ok(Lies::AsExpected));
        assert_eq!(expected.delivered(12), Ok(Lies::Further { to: 13 }));
        let said = expected.delivered(10).unwrap_err();
        assert!(said.contains("at offset 10, not at 11"), "{said}");
        assert_eq!((expected.behind, expected.next), (Some(11), 11));
    }

    #[test]
    fn what_was_read_between_them_and_is_set_aside_is_passed_over() {
        let mut expected = ExpectedOffsets { in_flight: 3, ..ExpectedOffsets::behind(10) };
        // Ours at 11, 14 and 15.
        expected.explain(10..15, &[11, 14]);
        assert!(!expected.has_more(16) && expected.has_more(17));
        assert_eq!(expected.next, 11);
        for offset in [11, 14, 15] {
            assert_eq!(expected.delivered(offset), Ok(Lies::AsExpected), "{offset}");
            assert_eq!(expected.behind, Some(offset + 1), "the mark lies behind the event");
        }
        assert!(!expected.has_more(16) && expected.has_more(17));
        assert_eq!(expected.next, 16);
        expected.explain(16..18, &[]);
        assert!(!expected.has_more(18));
        assert_eq!((expected.delivered(18), expected.behind), (Ok(Lies::AsExpected), Some(19)));
    }
}
