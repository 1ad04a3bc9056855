//! A segment read record by record, and what its end is like; of one without a footer, what its footer would say. Pure.

use std::path::Path;

use uuid::Uuid;

use crate::catalog::{empty_footer, note};
use crate::errors::OpenError;
use crate::fields::Damaged;
use crate::footer::Footer;
use crate::frame::{BLOCK_BYTES, FRAME_BYTES, Frame, blocks};
use crate::open::Tail;
use crate::record::{Record, body};
use crate::segment::{Header, Identity, PartitionState};

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

/// Reads a segment that is not closed.
pub(crate) fn scan_open(
    content: &[u8],
    begin: u32,
    header: &Header,
    path: &Path,
    lenient: bool,
) -> Result<(Footer, u32, Option<Scanned>, Tail), OpenError> {
    let expected = Expected {
        journal: header.journal,
        segment: header.segment,
        number: header.first_number,
        prior: header.prior,
    };
    let (mut records, mut end) = scan(content, begin, expected);
    while lenient && let End::Damaged { block, .. } = end {
        let (mut behind, next) = scan_behind(content, block, &expected);
        records.append(&mut behind);
        end = next;
    }
    let mut footer = empty_footer(header);
    let mut end_block = begin;
    for scanned in &records {
        note(&mut footer, scanned, &scanned.record.group.events);
        end_block = scanned.block + scanned.frame.blocks();
    }
    let byte = |block: u32| u64::from(block) * BLOCK_BYTES as u64;
    let (segment, number) = (header.segment, footer.numbers.end);
    let tail = match end {
        // Segments are made of whole blocks.
        End::Zeros if !content.len().is_multiple_of(BLOCK_BYTES) => {
            let damaged = Damaged { what: "a segment", why: "it ends in the middle of a block" };
            Tail::Torn { segment, byte: content.len() as u64, number, damaged }
        }
        End::Zeros => Tail::Whole,
        End::Torn { block, damaged } => Tail::Torn { segment, byte: byte(block), number, damaged },
        End::Damaged { block, damaged, later } => {
            let proof = format!("record {later} behind it was begun only after it was on the disk");
            let path = path.to_owned();
            return Err(OpenError::Acknowledged { path, byte: byte(block), number, damaged, proof });
        }
    };
    Ok((footer, end_block, records.into_iter().next_back(), tail))
}

/// The records behind a damaged one.
fn scan_behind(content: &[u8], damaged: u32, expected: &Expected) -> (Vec<Scanned>, End) {
    let at = |block: u32| content.get(block as usize * BLOCK_BYTES..).unwrap_or_default();
    let last = blocks(content.len());
    let mut behind = (damaged + 1..last)
        .filter_map(|block| Some((block, any_record(at(block), expected.journal, expected.segment).ok()?.0)));
    match behind.next() {
        Some((block, frame)) => {
            scan(content, block, Expected { number: frame.number, prior: frame.prior, ..*expected })
        }
        None => (Vec::new(), End::Zeros),
    }
}

/// What the records that can be read say of a segment whose header cannot be. `identity` is whose the segment before it is,
/// `before` where the partitions stood behind
/// the segment before it, as far as that is known.
pub(crate) fn header_of_records(
    content: &[u8],
    segment: u64,
    identity: Option<&Identity>,
    before: &[PartitionState],
) -> Option<(Header, u32)> {
    let framed = (0..).zip(content.chunks(BLOCK_BYTES)).filter_map(|(block, bytes)| {
        Frame::decode(bytes).ok().filter(|frame| frame.segment == segment).map(|frame| (block, frame))
    });
    let framed: Vec<(u32, Frame)> = framed.collect();
    let (begin, frame) = *framed.first()?;
    let events = framed.iter().filter_map(|(block, frame)| {
        any_record(content.get(*block as usize * BLOCK_BYTES..)?, frame.journal, segment).ok()
    });
    let partitions =
        events.flat_map(|(_, record)| record.group.events).map(|event| event.partition as usize + 1);
    let mut states = before.to_vec();
    states.resize(partitions.max().unwrap_or(0).max(before.len()), PartitionState::default());
    let unknown = || Identity { topic: String::new(), cluster: String::new(), layout: 0, partitions: 0 };
    let identity = identity.cloned().unwrap_or_else(unknown);
    let header = Header {
        journal: frame.journal,
        identity,
        segment,
        first_number: frame.number,
        prior: frame.prior,
        index_synced: frame.index_synced,
        oldest_segment: frame.oldest_segment,
        created_ms: frame.committed_ms,
        partitions: states,
    };
    Some((header, begin))
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
