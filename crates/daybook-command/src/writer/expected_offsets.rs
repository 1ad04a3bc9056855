//! At which offsets the records of the present writer lie: behind its claims, one after the other. Pure.
//!
//! What lies in between is somebody else's. It may be nothing but records that are set aside, which leave the writer in force; so whoever
//! meets it reads it ([`Unexplained`]), and only what says otherwise ends the writer.

use std::collections::VecDeque;
use std::ops::Range;

use super::Claimed;

#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    /// Epoch of the writer that sent them.
    pub(crate) epoch: u32,
    /// Per partition: the offset right behind the last one, if this writer has sent any.
    pub(crate) behind: Vec<Option<i64>>,
}

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
    /// It lies further on. What lies before it is to be read first.
    Further(Unexplained),
}

/// Offsets of the present writer's records, per partition.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExpectedOffsets {
    epoch: u32,
    /// None of what is not claimed.
    partitions: Vec<Option<Expected>>,
}

#[derive(Debug, Clone, Default)]
struct Expected {
    /// Right behind the last record that was acknowledged.
    behind: Option<i64>,
    /// The first offset that the next record can have.
    next: i64,
    /// Sent and not acknowledged.
    in_flight: i64,
    /// Offsets from `next` on that hold what was set aside, in order.
    others: VecDeque<Range<i64>>,
}

impl Expected {
    /// Past what was set aside.
    fn skip_others(&mut self) {
        while let Some(range) = self.others.pop_front_if(|range| range.start <= self.next) {
            self.next = self.next.max(range.end);
        }
    }
}

impl ExpectedOffsets {
    /// Nothing was sent since these claims.
    pub(crate) fn behind(claimed: &Claimed) -> Self {
        let expected = |claim: &Result<i64, String>| {
            Some(Expected { next: *claim.as_ref().ok()?, ..Expected::default() })
        };
        Self { epoch: claimed.epoch, partitions: claimed.ends.iter().map(expected).collect() }
    }

    /// More records are on their way, or fewer.
    pub(crate) fn sending(&mut self, partition: usize, events: i64) {
        if let Some(Some(expected)) = self.partitions.get_mut(partition) {
            expected.in_flight += events;
        }
    }

    /// The next record lies at `offset`; the error says that it cannot.
    pub(crate) fn delivered(&mut self, partition: usize, offset: i64) -> Result<Lies, String> {
        let Some(Some(expected)) = self.partitions.get_mut(partition) else { return Ok(Lies::AsExpected) };
        if offset > expected.next {
            return Ok(Lies::Further(Unexplained { partition, from: expected.next, to: offset + 1 }));
        }
        if offset < expected.next {
            let next = expected.next;
            return Err(format!(
                "partition {partition} took an event at offset {offset}, not at {next}: the log has lost its end"
            ));
        }
        expected.in_flight -= 1;
        expected.next += 1;
        expected.behind = Some(expected.next);
        expected.skip_others();
        Ok(Lies::AsExpected)
    }

    /// A partition ends here: what is to be read, if that is further on than with all that was sent.
    pub(crate) fn ends(&self, partition: usize, end: i64) -> Option<Unexplained> {
        let expected = self.partitions.get(partition)?.as_ref()?;
        let others: i64 = expected.others.iter().map(|range| range.end - range.start).sum();
        let is_further = end > expected.next + expected.in_flight + others;
        is_further.then_some(Unexplained { partition, from: expected.next, to: end })
    }

    /// These offsets were read, and hold what was set aside but for the present writer's own records at `own`.
    pub(crate) fn explain(&mut self, read: &Unexplained, own: &[i64]) {
        let Some(Some(expected)) = self.partitions.get_mut(read.partition) else { return };
        let next = read.from.max(expected.next);
        let mut from = next;
        let ends = own.iter().copied().filter(|offset| *offset >= next).chain([read.to]);
        let mut others = VecDeque::new();
        for end in ends {
            if from < end {
                others.push_back(from..end);
            }
            from = end + 1;
        }
        others.extend(expected.others.iter().filter(|range| range.start >= read.to).cloned());
        expected.others = others;
        expected.skip_others();
    }

    pub(crate) fn next(&self, partition: usize) -> Option<i64> {
        Some(self.partitions.get(partition)?.as_ref()?.next)
    }

    pub(crate) fn places(&self) -> Places {
        let behind = |expected: &Option<Expected>| expected.as_ref().and_then(|expected| expected.behind);
        Places { epoch: self.epoch, behind: self.partitions.iter().map(behind).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> ExpectedOffsets {
        ExpectedOffsets::behind(&Claimed { epoch: 4, ends: vec![Ok(1), Ok(10), Err("away".to_owned())] })
    }

    fn unexplained(from: i64, to: i64) -> Unexplained {
        Unexplained { partition: 1, from, to }
    }

    #[test]
    fn records_lie_one_after_the_other_behind_the_claim() {
        let mut expected = expected();
        assert_eq!((expected.ends(0, 1), expected.ends(2, 99)), (None, None));
        expected.sending(1, 3);
        expected.sending(1, -1);
        assert_eq!((expected.ends(1, 12), expected.ends(1, 13)), (None, Some(unexplained(10, 13))));
        assert_eq!(expected.delivered(1, 10), Ok(Lies::AsExpected));
        assert_eq!(expected.delivered(1, 12), Ok(Lies::Further(unexplained(11, 13))));
        let said = expected.delivered(1, 10).unwrap_err();
        assert!(said.contains("at offset 10, not at 11"), "{said}");
        let places = expected.places();
        assert_eq!((places.epoch, &places.behind[..]), (4, &[None, Some(11), None][..]));
    }

    #[test]
    fn what_was_read_between_them_and_is_set_aside_is_passed_over() {
        let mut expected = expected();
        expected.sending(1, 3);
        // Ours at 11, 14 and 15.
        expected.explain(&unexplained(10, 15), &[11, 14]);
        assert_eq!((expected.ends(1, 16), expected.ends(1, 17)), (None, Some(unexplained(11, 17))));
        for offset in [11, 14, 15] {
            assert_eq!(expected.delivered(1, offset), Ok(Lies::AsExpected), "{offset}");
            assert_eq!(expected.places().behind[1], Some(offset + 1), "the mark lies behind the event");
        }
        assert_eq!((expected.ends(1, 16), expected.ends(1, 17)), (None, Some(unexplained(16, 17))));
        expected.explain(&unexplained(16, 18), &[]);
        assert_eq!((expected.ends(1, 18), expected.delivered(1, 18)), (None, Ok(Lies::AsExpected)));
        assert_eq!(expected.places().behind[1], Some(19));
    }
}
