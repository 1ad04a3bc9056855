//! Blocks: many rows in the order of their keys, packed into one stored value.
//!
//! A replay writes rows by the hundred thousand, in order, and never changes one again; sled's costs are per value, so
//! rows that are written together are stored together. A block is its entries (length of the key, key, value), then where
//! each entry begins (four bytes, little-endian), then their number (four bytes). It is searched by halves.

use std::ops::Range;

use super::codec::RowError;

const NUMBER_BYTES: usize = size_of::<u32>();

#[derive(Debug, Default)]
pub(super) struct BlockBuilder {
    bytes: Vec<u8>,
    starts: Vec<u32>,
}

impl BlockBuilder {
    /// Appends an entry. Keys must ascend, and be shorter than 256 bytes.
    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) {
        // A block is closed long before four gigabytes: see the bound on its bytes.
        self.starts.push(self.bytes.len() as u32);
        self.bytes.push(key.len() as u8);
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + self.starts.len() * NUMBER_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// The block's bytes; the builder starts again with [`BlockBuilder::clear`].
    pub(super) fn finish(&mut self) -> &[u8] {
        for start in &self.starts {
            self.bytes.extend_from_slice(&start.to_le_bytes());
        }
        self.bytes.extend_from_slice(&(self.starts.len() as u32).to_le_bytes());
        &self.bytes
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Block<'b> {
    bytes: &'b [u8],
    starts: &'b [u8],
    /// Where the entries end.
    end: usize,
}

/// One entry: its key, and where its value stands in the block's bytes.
pub(super) type Entry<'b> = (&'b [u8], Range<usize>);

impl<'b> Block<'b> {
    pub(super) fn parse(bytes: &'b [u8]) -> Result<Self, RowError> {
        let cut_off = RowError::CutOff { field: "block" };
        let (entries, count) = bytes.split_last_chunk().ok_or(cut_off.clone())?;
        let table_bytes = u32::from_le_bytes(*count) as usize * NUMBER_BYTES;
        let end = entries.len().checked_sub(table_bytes).ok_or(cut_off)?;
        Ok(Self { bytes, starts: &entries[end..], end })
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len() / NUMBER_BYTES
    }

    /// The entry of this index, which must be below [`Block::len`].
    pub(super) fn entry(&self, index: usize) -> Result<Entry<'b>, RowError> {
        let damaged = || RowError::impossible("block", format!("entry {index}"));
        let start = self.start(index);
        let end = if index + 1 == self.len() { self.end } else { self.start(index + 1) };
        let entry = self.bytes.get(start..end).filter(|_| end <= self.end).ok_or_else(damaged)?;
        let (key_bytes, rest) = entry.split_first().ok_or_else(damaged)?;
        let key = rest.get(..usize::from(*key_bytes)).ok_or_else(damaged)?;
        Ok((key, start + 1 + key.len()..end))
    }

    pub(super) fn find(&self, key: &[u8]) -> Result<Option<Range<usize>>, RowError> {
        let index = self.first_from(key)?;
        if index == self.len() {
            return Ok(None);
        }
        let (found, value) = self.entry(index)?;
        Ok((found == key).then_some(value))
    }

    /// Index of the first entry whose key is not below `key`.
    pub(super) fn first_from(&self, key: &[u8]) -> Result<usize, RowError> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(middle)?.0 < key { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    fn start(&self, index: usize) -> usize {
        let at = index * NUMBER_BYTES;
        let mut bytes = [0; NUMBER_BYTES];
        bytes.copy_from_slice(&self.starts[at..at + NUMBER_BYTES]);
        u32::from_le_bytes(bytes) as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_entry_is_found_and_no_other(
            rows in prop::collection::btree_map(prop::collection::vec(any::<u8>(), 0..6), ".{0,9}", 0..40),
            others in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 20),
        ) {
            let mut builder = BlockBuilder::default();
            rows.iter().for_each(|(key, value)| builder.push(key, value.as_bytes()));
            let bytes = builder.finish();
            let block = Block::parse(bytes).unwrap();
            prop_assert_eq!(block.len(), rows.len());
            for key in rows.keys().chain(&others) {
                let found = block.find(key).unwrap().map(|value| &bytes[value]);
                prop_assert_eq!(found, rows.get(key).map(String::as_bytes));
                prop_assert_eq!(block.first_from(key).unwrap(), rows.range(..key.clone()).count());
            }
        }

        #[test]
        fn damaged_bytes_are_an_error_and_no_panic(bytes: Vec<u8>, key: Vec<u8>) {
            if let Ok(block) = Block::parse(&bytes) {
                let _ = block.find(&key);
                (0..block.len()).for_each(|index| drop(block.entry(index)));
            }
        }
    }
}
