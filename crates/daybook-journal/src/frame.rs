//! The frame around every record: who wrote it, which one it is, and that it is whole. Pure.

use uuid::Uuid;

use crate::fields::{Damaged, Fields};

/// Where a record may begin: multiples of this, the page that disks and file systems write as a whole.
pub const BLOCK_BYTES: usize = 4096;
/// Most bytes of one record, its frame included. A group that is larger is cut.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;

const MAGIC: [u8; 4] = *b"DBJr";
const VERSION: u8 = 1;
/// Where the fields begin that are the same wherever a record is written.
const SUMMED_FROM: usize = 32;
const SUM_AT: usize = 76;
const CHECKSUM_AT: usize = 80;
pub(crate) const FRAME_BYTES: usize = 84;

const WHAT: &str = "the frame of a record";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What a group of commands decided.
    Group,
    /// Events of an older segment, written once more so that the segment can go.
    Carried,
    /// Nothing but what its frame says: at a stop, or because a segment is going to be removed.
    Note,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Group => 1,
            Self::Carried => 2,
            Self::Note => 3,
        }
    }

    fn of(byte: u8) -> Option<Self> {
        [Self::Group, Self::Carried, Self::Note].into_iter().find(|kind| kind.byte() == byte)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) journal: Uuid,
    pub(crate) segment: u64,
    /// From 1, without a gap, over all segments.
    pub(crate) number: u64,
    /// Up to this record the index was synced when this one was written.
    pub(crate) index_synced: u64,
    /// The oldest segment that was needed when this record was written.
    pub(crate) oldest_segment: u64,
    pub(crate) committed_ms: u64,
    /// The [`Frame::sum`] of the record before.
    pub(crate) prior: u32,
    pub(crate) body_bytes: u32,
    pub(crate) body_checksum: u32,
}

impl Frame {
    /// Checksum of the record, wherever it lies: two copies of one record have the same.
    pub(crate) fn sum(&self) -> u32 {
        let encoded = self.encode();
        let sum = [encoded[SUM_AT], encoded[SUM_AT + 1], encoded[SUM_AT + 2], encoded[SUM_AT + 3]];
        u32::from_be_bytes(sum)
    }

    pub(crate) fn encode(&self) -> [u8; FRAME_BYTES] {
        let mut to = [0; FRAME_BYTES];
        to[..4].copy_from_slice(&MAGIC);
        to[4] = VERSION;
        to[8..24].copy_from_slice(self.journal.as_bytes());
        to[24..32].copy_from_slice(&self.segment.to_be_bytes());
        to[32..40].copy_from_slice(&self.number.to_be_bytes());
        to[40..48].copy_from_slice(&self.index_synced.to_be_bytes());
        to[48..56].copy_from_slice(&self.oldest_segment.to_be_bytes());
        to[56..64].copy_from_slice(&self.committed_ms.to_be_bytes());
        to[64..68].copy_from_slice(&self.prior.to_be_bytes());
        // The kind lies above its body's length, which is less than 2^24.
        let kind_and_bytes = u32::from(self.kind.byte()) << 24 | self.body_bytes;
        to[68..72].copy_from_slice(&kind_and_bytes.to_be_bytes());
        to[72..76].copy_from_slice(&self.body_checksum.to_be_bytes());
        let sum = crc32c::crc32c(&to[SUMMED_FROM..SUM_AT]);
        to[SUM_AT..CHECKSUM_AT].copy_from_slice(&sum.to_be_bytes());
        let checksum = crc32c::crc32c(&to[..CHECKSUM_AT]);
        to[CHECKSUM_AT..].copy_from_slice(&checksum.to_be_bytes());
        to
    }

    /// Reads a frame; says nothing of its body.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        let damaged = |why| Damaged { what: WHAT, why };
        let bytes = bytes.get(..FRAME_BYTES).ok_or(damaged("it ends too early"))?;
        if bytes[..4] != MAGIC {
            return Err(damaged("it does not begin as one"));
        }
        let mut checksum = Fields::of(WHAT, &bytes[CHECKSUM_AT..]);
        if checksum.u32()? != crc32c::crc32c(&bytes[..CHECKSUM_AT]) {
            return Err(damaged("its checksum does not fit"));
        }
        if bytes[4] != VERSION {
            return Err(damaged("it is of a version that this program does not know"));
        }
        let mut fields = Fields::of(WHAT, &bytes[8..]);
        let (journal, segment, number) = (fields.id()?, fields.u64()?, fields.u64()?);
        let (index_synced, oldest_segment, committed_ms) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let (prior, kind_and_bytes, body_checksum) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let kind = Kind::of((kind_and_bytes >> 24) as u8);
        let body_bytes = kind_and_bytes & 0x00ff_ffff;
        if body_bytes as usize + FRAME_BYTES > RECORD_BYTES_MAX {
            return Err(damaged("its record is longer than a record may be"));
        }
        Ok(Self {
            kind: kind.ok_or(damaged("its kind is not known"))?,
            journal,
            segment,
            number,
            index_synced,
            oldest_segment,
            committed_ms,
            prior,
            body_bytes,
            body_checksum,
        })
    }

    pub(crate) fn blocks(&self) -> u32 {
        blocks(FRAME_BYTES + self.body_bytes as usize)
    }
}

/// How many blocks so many bytes take. What is asked of is bounded by a segment.
pub(crate) fn blocks(bytes: usize) -> u32 {
    bytes.div_ceil(BLOCK_BYTES) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame {
            kind: Kind::Carried,
            journal: Uuid::from_u128(7),
            segment: 3,
            number: 41,
            index_synced: 40,
            oldest_segment: 2,
            committed_ms: 1_795_000_000_000,
            prior: 0xfeed_beef,
            body_bytes: 5000,
            body_checksum: 0x0102_0304,
        }
    }

    #[test]
    fn a_frame_is_read_back_as_it_was_written() {
        assert_eq!(Frame::decode(&frame().encode()), Ok(frame()));
        assert_eq!(frame().blocks(), 2);
    }

    #[test]
    fn no_flipped_bit_of_a_frame_goes_unnoticed() {
        let whole = frame().encode();
        for bit in 0..FRAME_BYTES * 8 {
            let mut bytes = whole;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::decode(&bytes).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn copies_in_two_segments_have_one_sum_and_other_records_another() {
        assert_eq!(frame().sum(), Frame { segment: 4, ..frame() }.sum());
        assert_ne!(frame().sum(), Frame { prior: 1, ..frame() }.sum());
        assert_ne!(frame().sum(), Frame { body_checksum: 1, ..frame() }.sum());
        assert_ne!(frame().sum(), Frame { kind: Kind::Group, ..frame() }.sum());
    }

    #[test]
    fn a_frame_that_claims_too_much_is_refused() {
        let long = Frame { body_bytes: RECORD_BYTES_MAX as u32, ..frame() };
        assert!(Frame::decode(&long.encode()).is_err());
    }
}
