//! What a closed segment ends with: its footer, so that a start need not read it, and its trailer. Pure.

use std::ops::Range;

use crate::fields::{Damaged, Fields, put_count};
use crate::frame::BLOCK_BYTES;
use crate::keys::KeyAt;
use crate::segment::{CHECKSUM_BYTES, PartitionState, VERSION, finish, prefix, table};

const FOOTER_MAGIC: [u8; 4] = *b"DBJf";
const TRAILER_MAGIC: [u8; 4] = *b"DBJe";
const TRAILER_BYTES: usize = 20;

/// Events of one partition that follow one another in one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: u64,
    pub(crate) count: u32,
    pub(crate) bytes: u32,
    pub(crate) block: u32,
}

impl Run {
    const BYTES: usize = 8 + 4 + 4 + 4;

    pub(crate) fn end(&self) -> u64 {
        self.first.saturating_add(u64::from(self.count))
    }

    fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.first.to_be_bytes());
        [self.count, self.bytes, self.block].iter().for_each(|n| to.extend_from_slice(&n.to_be_bytes()));
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, Damaged> {
        Ok(Self { first: fields.u64()?, count: fields.u32()?, bytes: fields.u32()?, block: fields.u32()? })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PartitionEvents {
    pub(crate) bytes: u64,
    /// In the order in which they were written.
    pub(crate) runs: Vec<Run>,
}

impl PartitionEvents {
    pub(crate) fn push(&mut self, run: Run) {
        self.bytes += u64::from(run.bytes);
        self.runs.push(run);
    }
}

/// What a closed segment holds, so that a start need not read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) segment: u64,
    pub(crate) numbers: Range<u64>,
    /// Checksum of its last record, or of the one before if it has none.
    pub(crate) last_sum: u32,
    /// When its last record was committed; 0 if it has none.
    pub(crate) last_committed_ms: u64,
    /// What its last record says: up to where the index was synced.
    pub(crate) index_synced: u64,
    /// What its last record says: the oldest segment that was needed.
    pub(crate) oldest_segment: u64,
    pub(crate) partitions: Vec<PartitionEvents>,
    /// Where each partition stood behind the segment's last record.
    pub(crate) states: Vec<PartitionState>,
    /// Idempotency keys, and the block of the record that has their outcome.
    pub(crate) keys: Vec<KeyAt>,
}

impl Footer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut to = prefix(FOOTER_MAGIC);
        let Range { start, end } = self.numbers;
        let numbers =
            [self.segment, start, end, self.last_committed_ms, self.index_synced, self.oldest_segment];
        numbers.iter().for_each(|number| to.extend_from_slice(&number.to_be_bytes()));
        to.extend_from_slice(&self.last_sum.to_be_bytes());
        put_count(&mut to, self.partitions.len());
        for partition in &self.partitions {
            put_count(&mut to, partition.runs.len());
            partition.runs.iter().for_each(|run| run.encode(&mut to));
        }
        put_count(&mut to, self.states.len());
        self.states.iter().for_each(|state| state.encode(&mut to));
        put_count(&mut to, self.keys.len());
        for (hash, block) in &self.keys {
            to.extend_from_slice(hash);
            to.extend_from_slice(&block.to_be_bytes());
        }
        finish(to)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut fields = table("the footer of a segment", FOOTER_MAGIC, bytes)?;
        let segment = fields.u64()?;
        let numbers = fields.u64()?..fields.u64()?;
        let (last_committed_ms, index_synced, oldest_segment) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let last_sum = fields.u32()?;
        let partitions = (0..fields.count(4)?).map(|_| PartitionEvents::decode(&mut fields));
        let partitions = partitions.collect::<Result<_, _>>()?;
        let states = (0..fields.count(PartitionState::BYTES)?).map(|_| PartitionState::decode(&mut fields));
        let states = states.collect::<Result<_, _>>()?;
        let count = fields.count(20)?;
        // No larger than they are: at a start those of all segments lie in memory for a moment.
        let mut keys = Vec::with_capacity(count);
        for _ in 0..count {
            keys.push((fields.array()?, fields.u32()?));
        }
        fields.end()?;
        Ok(Self {
            segment,
            numbers,
            last_sum,
            last_committed_ms,
            index_synced,
            oldest_segment,
            partitions,
            states,
            keys,
        })
    }
}

impl PartitionEvents {
    fn decode(fields: &mut Fields<'_>) -> Result<Self, Damaged> {
        let mut events = Self::default();
        for _ in 0..fields.count(Run::BYTES)? {
            events.push(Run::decode(fields)?);
        }
        Ok(events)
    }
}

/// The last block of a closed segment: where its footer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) footer_block: u32,
    pub(crate) footer_bytes: u32,
}

impl Trailer {
    pub(crate) fn encode(&self) -> [u8; BLOCK_BYTES] {
        let mut to = [0; BLOCK_BYTES];
        to[..4].copy_from_slice(&TRAILER_MAGIC);
        to[4] = VERSION;
        to[8..12].copy_from_slice(&self.footer_block.to_be_bytes());
        to[12..16].copy_from_slice(&self.footer_bytes.to_be_bytes());
        let checksum = crc32c::crc32c(&to[..TRAILER_BYTES - CHECKSUM_BYTES]);
        to[16..TRAILER_BYTES].copy_from_slice(&checksum.to_be_bytes());
        to
    }

    /// None if the block is no trailer: the segment is not closed.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (fields, checksum) = bytes.get(..TRAILER_BYTES)?.split_at(TRAILER_BYTES - CHECKSUM_BYTES);
        let is_whole = checksum == crc32c::crc32c(fields).to_be_bytes();
        if !is_whole || fields[..4] != TRAILER_MAGIC || fields[4] != VERSION {
            return None;
        }
        let mut fields = Fields::of("the trailer of a segment", &fields[8..]);
        Some(Self { footer_block: fields.u32().ok()?, footer_bytes: fields.u32().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn footer() -> Footer {
        let mut events = PartitionEvents::default();
        events.push(Run { first: 3, count: 6, bytes: 1_000, block: 1 });
        events.push(Run { first: 9, count: 1, bytes: 30, block: 5 });
        Footer {
            segment: 4,
            numbers: 100..140,
            last_sum: 5,
            last_committed_ms: 6,
            index_synced: 7,
            oldest_segment: 2,
            partitions: vec![events, PartitionEvents::default()],
            states: vec![PartitionState::default()],
            keys: vec![([1; 16], 1), ([2; 16], 5)],
        }
    }

    #[test]
    fn footer_and_trailer_are_read_back_as_they_were_written() {
        assert_eq!(Footer::decode(&footer().encode()), Ok(footer()));
        let trailer = Trailer { footer_block: 3, footer_bytes: 99 };
        assert_eq!(Trailer::decode(&trailer.encode()), Some(trailer));
    }

    #[test]
    fn no_flipped_bit_of_a_footer_or_trailer_goes_unnoticed() {
        let footer = footer().encode();
        let trailer = Trailer { footer_block: 3, footer_bytes: 99 }.encode();
        let flipped = |whole: &[u8], bit: usize| {
            let mut bytes = whole.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        };
        for bit in 0..footer.len() * 8 {
            assert!(Footer::decode(&flipped(&footer, bit)).is_err(), "bit {bit}");
        }
        for bit in 0..TRAILER_BYTES * 8 {
            assert_eq!(Trailer::decode(&flipped(&trailer, bit)), None, "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_footer_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = (Footer::decode(&bytes), Trailer::decode(&bytes));
        }
    }
}
