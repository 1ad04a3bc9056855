//! Which record has the outcome under an idempotency key: the one table in memory that is as large as what is remembered.
//!
//! A key takes its hash and eight bytes for its location here, and nothing else: what a segment's keys are is read from its
//! footer when it goes. The table doubles when it is seven eighths full, so a million keys take 2^21 locations of 25 bytes:
//! 52 MB, and half as much again for a moment when the 917,505th comes. Measured with a million keys in 50,000 records of
//! 60 segments: a process that opens such a journal grows by 68 MB all told, and one that wrote it by 74 MB, of which 8 MB
//! are recent events.

use std::collections::HashMap;

use crate::catalog::Location;

/// A key, and the block of the record that has its outcome.
pub(crate) type KeyAt = ([u8; 16], u32);

/// Where a key's record lies, short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Short {
    /// Number of its segment, from [`Keys::base`] on: no process lives to begin 2^32 segments.
    segment: u32,
    block: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// The segment that the table began with.
    base: u64,
    records: HashMap<[u8; 16], Short>,
}

impl Keys {
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// So many more will come: the table grows once.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.records.reserve(more);
    }

    /// Takes keys of a segment in that is none of the earlier ones. Of a key that was there the later record counts.
    pub(crate) fn extend(&mut self, segment: u64, keys: impl Iterator<Item = KeyAt>) {
        if self.records.is_empty() {
            self.base = segment;
        }
        let segment = self.short(segment);
        self.records.extend(keys.map(|(hash, block)| (hash, Short { segment, block })));
    }

    pub(crate) fn get(&self, hash: &[u8; 16]) -> Option<Location> {
        self.records.get(hash).map(|record| self.long(record))
    }

    fn long(&self, record: &Short) -> Location {
        Location { segment: self.base + u64::from(record.segment), block: record.block }
    }

    /// Forgets those of a segment's keys that no later segment has.
    pub(crate) fn forget(&mut self, segment: u64, keys: &[KeyAt]) {
        let segment = self.short(segment);
        for (hash, _) in keys {
            if self.records.get(hash).is_some_and(|record| record.segment == segment) {
                self.records.remove(hash);
            }
        }
    }

    /// As [`Keys::forget`], where it is not known which they are: looks at all.
    pub(crate) fn forget_all_of(&mut self, segment: u64) {
        let segment = self.short(segment);
        self.records.retain(|_, record| record.segment != segment);
    }

    fn short(&self, segment: u64) -> u32 {
        segment.saturating_sub(self.base) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        let mut keys = Keys::default();
        keys.extend(1 << 40, [([1; 16], 3), ([2; 16], 4)].into_iter());
        keys.extend((1 << 40) + 1, [([2; 16], 1), ([3; 16], 2)].into_iter());
        keys
    }

    #[test]
    fn a_key_takes_no_more_than_its_hash_and_eight_bytes() {
        assert_eq!(size_of::<([u8; 16], Short)>(), 24);
    }

    #[test]
    fn the_later_record_of_a_key_counts_and_stays_when_the_earlier_one_goes() {
        let is_as_it_should_be = |keys: &Keys| {
            assert_eq!((keys.get(&[1; 16]), keys.len()), (None, 2));
            assert_eq!(keys.get(&[2; 16]), Some(Location { segment: (1 << 40) + 1, block: 1 }));
            assert_eq!(keys.get(&[3; 16]), Some(Location { segment: (1 << 40) + 1, block: 2 }));
        };
        assert_eq!(keys().get(&[1; 16]), Some(Location { segment: 1 << 40, block: 3 }));
        let (mut known, mut unknown) = (keys(), keys());
        known.forget(1 << 40, &[([1; 16], 3), ([2; 16], 4)]);
        is_as_it_should_be(&known);
        unknown.forget_all_of(1 << 40);
        is_as_it_should_be(&unknown);
    }
}
