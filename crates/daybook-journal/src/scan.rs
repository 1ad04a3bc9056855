//! A segment read record by record, and what its end is like. Pure: bytes in, findings out.

use uuid::Uuid;

use crate::fields::Damaged;
use crate::frame::{BLOCK_BYTES, FRAME_BYTES, Frame};
use crate::record::{Record, body};

/// What the next record of a segment must say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) journal: Uuid,
    pub(crate) segment: u64,
    pub(crate) number: u64,
    pub(crate) prior: u32,
}

/// A record, and the block at which it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scanned {
    pub(crate) block: u32,
    pub(crate) frame: Frame,
    pub(crate) record: Record,
}

/// What comes behind the last record that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing but zeros.
    Zeros,
    /// Something that is no record, and nothing that proves that it ever was one: a write that was cut off, or the last
    /// record damaged.
    Torn { block: u32, damaged: Damaged },
    /// Something that is no record, and behind it one that was written later: what is damaged was whole once.
    Damaged { block: u32, damaged: Damaged, later: u64 },
}

/// All records of a segment up to its end. `from` is the block behind the segment's header.
pub(crate) fn scan(segment: &[u8], from: u32, mut expected: Expected) -> (Vec<Scanned>, End) {
    let mut records = Vec::new();
    let mut block = from;
    loop {
        let rest = at(segment, block);
        match next(rest, &expected) {
            Ok((frame, record)) => {
                records.push(Scanned { block, frame, record });
                block += frame.blocks();
                expected.number += 1;
                expected.prior = frame.sum();
            }
            Err(damaged) => return (records, end(segment, block, damaged, &expected)),
        }
    }
}

fn at(segment: &[u8], block: u32) -> &[u8] {
    segment.get(block as usize * BLOCK_BYTES..).unwrap_or_default()
}

/// The record at the beginning of `rest`, if it is the one that must come next.
pub(crate) fn next(rest: &[u8], expected: &Expected) -> Result<(Frame, Record), Damaged> {
    let frame = Frame::decode(rest)?;
    let other = |why| Damaged { what: "a record", why };
    if frame.journal != expected.journal {
        return Err(other("it is of another journal"));
    }
    if frame.segment != expected.segment {
        return Err(other("it is of another segment"));
    }
    if frame.number != expected.number {
        return Err(other("it is not the next one"));
    }
    if frame.prior != expected.prior {
        return Err(other("the record before it is not the one that it was written behind"));
    }
    Record::decode(rest)
}

/// The record at the beginning of `bytes`, whichever it is, if it is of this journal and segment.
pub(crate) fn any_record(bytes: &[u8], journal: Uuid, segment: u64) -> Result<(Frame, Record), Damaged> {
    let frame = Frame::decode(bytes)?;
    next(bytes, &Expected { journal, segment, number: frame.number, prior: frame.prior })
}

fn end(segment: &[u8], block: u32, damaged: Damaged, expected: &Expected) -> End {
    let rest = at(segment, block);
    match later(rest, expected) {
        Some(later) => End::Damaged { block, damaged, later },
        None if rest.iter().all(|byte| *byte == 0) => End::Zeros,
        None => End::Torn { block, damaged },
    }
}

/// A record that was written behind the one that is missing: it was begun only after that one was on the disk.
fn later(rest: &[u8], expected: &Expected) -> Option<u64> {
    let blocks = rest.chunks(BLOCK_BYTES).enumerate().skip(1);
    let framed = blocks.filter_map(|(index, block)| {
        let frame = Frame::decode(block.get(..FRAME_BYTES)?).ok()?;
        let bytes = &rest[index * BLOCK_BYTES..];
        body(&frame, bytes).is_ok().then_some(frame)
    });
    let ours = |frame: &Frame| frame.journal == expected.journal && frame.segment == expected.segment;
    framed.filter(ours).map(|frame| frame.number).find(|number| *number > expected.number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Kind;
    use crate::record::{Group, Write};

    const EXPECTED: Expected = Expected { journal: Uuid::from_u128(1), segment: 2, number: 5, prior: 9 };

    /// A segment without a header: `count` records of a few blocks each, and zeros.
    fn segment(count: u64) -> (Vec<u8>, Vec<u32>) {
        let (mut bytes, mut blocks, mut prior) = (Vec::new(), Vec::new(), EXPECTED.prior);
        for index in 0..count {
            let value = vec![7; 5000 * index as usize];
            let group =
                Group { writes: vec![Write { key: vec![1], value: Some(value) }], ..Group::default() };
            let mut body = Vec::new();
            group.encode(&mut body);
            let frame = Frame {
                kind: Kind::Group,
                journal: EXPECTED.journal,
                segment: EXPECTED.segment,
                number: EXPECTED.number + index,
                index_synced: 0,
                oldest_segment: 0,
                committed_ms: 0,
                prior,
                body_bytes: body.len() as u32,
                body_checksum: crc32c::crc32c(&body),
            };
            prior = frame.sum();
            blocks.push((bytes.len() / BLOCK_BYTES) as u32);
            bytes.extend_from_slice(&frame.encode());
            bytes.extend_from_slice(&body);
            bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
        }
        bytes.resize(bytes.len() + 8 * BLOCK_BYTES, 0);
        (bytes, blocks)
    }

    fn numbers(records: &[Scanned]) -> Vec<u64> {
        records.iter().map(|scanned| scanned.record.number).collect()
    }

    #[test]
    fn all_records_are_read_up_to_the_zeros() {
        let (bytes, blocks) = segment(4);
        let (records, end) = scan(&bytes, 0, EXPECTED);
        assert_eq!((numbers(&records), end), (vec![5, 6, 7, 8], End::Zeros));
        assert_eq!(records.iter().map(|scanned| scanned.block).collect::<Vec<_>>(), blocks);
    }

    #[test]
    fn a_last_record_that_is_not_whole_is_torn_and_one_before_it_is_damage() {
        let (whole, blocks) = segment(4);
        for (index, block) in blocks.iter().enumerate() {
            for offset in [0, FRAME_BYTES, FRAME_BYTES + 12] {
                let mut bytes = whole.clone();
                bytes[*block as usize * BLOCK_BYTES + offset] ^= 1;
                let (records, end) = scan(&bytes, 0, EXPECTED);
                assert_eq!(records.len(), index);
                match end {
                    End::Torn { block: found, .. } => assert_eq!((index, found), (3, *block)),
                    End::Damaged { block: found, later, .. } => {
                        assert_eq!((found, later), (*block, 6 + index as u64));
                    }
                    End::Zeros => panic!("record {index} is not whole"),
                }
            }
        }
    }

    #[test]
    fn records_of_another_journal_segment_or_line_are_not_taken() {
        let (bytes, _) = segment(2);
        for expected in [
            Expected { journal: Uuid::from_u128(2), ..EXPECTED },
            Expected { segment: 3, ..EXPECTED },
            Expected { number: 4, ..EXPECTED },
            Expected { number: 6, ..EXPECTED },
            Expected { prior: 8, ..EXPECTED },
        ] {
            assert!(scan(&bytes, 0, expected).0.is_empty(), "{expected:?}");
        }
    }

    #[test]
    fn what_is_cut_at_any_piece_of_512_bytes_is_torn_or_whole_but_never_another_record() {
        let (whole, blocks) = segment(3);
        let last = blocks[2] as usize * BLOCK_BYTES;
        for piece in 0..(whole.len() - last) / 512 {
            let mut bytes = whole.clone();
            bytes[last + piece * 512..last + piece * 512 + 512].fill(0);
            let (records, _) = scan(&bytes, 0, EXPECTED);
            assert!(records.len() == 2 || bytes == whole, "piece {piece}");
        }
    }
}
