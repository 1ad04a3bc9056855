//! What cannot be read any more: of damaged segments it is told which records, positions and keys are lost.

use std::ops::Range;

use crate::catalog::{Catalog, Place};
use crate::errors::ReadError;
use crate::reader::Reader;

/// A place of a closed segment that cannot be read, up to the next record that can.
#[derive(Debug)]
pub struct Lost {
    /// What is wrong, and where.
    pub error: ReadError,
    /// The segment's number.
    pub segment: u64,
    /// Numbers of the records.
    pub numbers: Range<u64>,
    /// Partitions and positions of their events, as far as no other record has them.
    pub events: Vec<(usize, Range<u64>)>,
    /// How many idempotency keys had their outcome there, and have none now.
    pub keys: usize,
}

impl Reader {
    /// Reads every record of the closed segments, and says what cannot be read. Takes as long as that; who appends is not
    /// held up.
    #[must_use]
    pub fn check(&self) -> Vec<Lost> {
        let closed: Vec<_> = {
            let catalog = self.catalog();
            let closed = catalog.segments.iter().filter(|(_, segment)| segment.closed);
            closed.map(|(number, segment)| (*number, segment.begin..segment.end)).collect()
        };
        closed.into_iter().flat_map(|(segment, blocks)| self.check_segment(segment, blocks)).collect()
    }

    fn check_segment(&self, segment: u64, mut blocks: Range<u32>) -> Vec<Lost> {
        let mut numbers = self.catalog().numbers(segment);
        let mut lost = Vec::new();
        while !blocks.is_empty() && !numbers.is_empty() {
            let number_at = |block| Some(self.record(Place { segment, block }).ok()?.0.number);
            match self.record(Place { segment, block: blocks.start }) {
                Ok((frame, _)) => {
                    blocks.start += frame.blocks();
                    numbers.start = frame.number + 1;
                }
                Err(error) => {
                    let behind = (blocks.start + 1..blocks.end)
                        .find_map(|block| Some((block, number_at(block)?)))
                        .unwrap_or((blocks.end, numbers.end));
                    let numbers_lost = numbers.start..behind.1.min(numbers.end);
                    let blocks_lost = blocks.start..behind.0;
                    lost.push(of_blocks(&self.catalog(), segment, &blocks_lost, numbers_lost, error));
                    (blocks.start, numbers.start) = behind;
                }
            }
        }
        lost
    }
}

fn of_blocks(
    catalog: &Catalog,
    segment: u64,
    blocks: &Range<u32>,
    numbers: Range<u64>,
    error: ReadError,
) -> Lost {
    let is_lost = |place: Place| place.segment == segment && blocks.contains(&place.block);
    let mut events: Vec<(usize, Range<u64>)> = Vec::new();
    let partitions = catalog.segments.get(&segment).map(|segment| &segment.footer.partitions);
    for (partition, runs) in partitions.into_iter().flatten().enumerate() {
        let runs = runs.runs.iter().filter(|run| blocks.contains(&run.block));
        let positions = runs.flat_map(|run| run.first..run.end());
        for position in positions.filter(|at| catalog.events_at(partition, *at).is_some_and(is_lost)) {
            match events.last_mut() {
                Some((last, range)) if *last == partition && range.end == position => range.end += 1,
                _ => events.push((partition, position..position + 1)),
            }
        }
    }
    Lost { error, segment, numbers, events, keys: catalog.keys_in(is_lost) }
}
