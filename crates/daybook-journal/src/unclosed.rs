//! A segment without a footer: its records are read, and they say what its footer would.

use std::path::Path;

use crate::catalog::{empty_footer, note};
use crate::errors::OpenError;
use crate::fields::Damaged;
use crate::footer::Footer;
use crate::frame::{BLOCK_BYTES, Frame, blocks};
use crate::open::Tail;
use crate::scan::{End, Expected, Scanned, any_record, scan};
use crate::segment::{Header, Identity, PartitionState};

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
