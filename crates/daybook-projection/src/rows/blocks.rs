//! The tree of blocks, written so that sled writes every byte once.
//!
//! A sled node that has more than sixteen entries is split, and both halves are written again; so is a node that has been
//! added to ten times. Blocks that are simply inserted in order therefore go to disk three times. Entries without a value
//! cost next to nothing, so the nodes are brought into their shape with such entries first, and a block is then added to a
//! node that is not written again. Empty entries stay where they are, and readers pass over them. (Measured with 400 MiB
//! in blocks of 32 KiB and two threads: 473 MiB are written instead of 1,450, in less than half of the time.)

use super::guarded::Guarded;
use super::{Bytes, Rows};
use crate::keys::RowKey;
use crate::store::StoreError;

/// Empty entries after each block: with the block they are the nine that stay together when seventeen are split.
const SPACERS: u8 = 8;
/// Empty entries between two parts of the key space that are written at the same time. They are more than a node holds:
/// no block of the part behind them is in the node that the part before them is growing in, and is split with it.
const FENCE: u8 = 20;

impl Rows {
    /// Marks where a part of the key space begins whose blocks are about to be written.
    pub(crate) fn put_fence(&self, before: &RowKey) -> Result<(), StoreError> {
        (0..FENCE).try_for_each(|number| self.put_spacer(before, number))
    }

    /// Writes blocks, each under the last key in it.
    pub(crate) fn put_blocks(&self, blocks: &[(RowKey, Vec<u8>)]) -> Result<(), StoreError> {
        for (last_key, _) in blocks {
            self.put_block(last_key.bytes(), &[])?;
            (0..SPACERS).try_for_each(|number| self.put_spacer(last_key, number))?;
        }
        blocks.iter().try_for_each(|(last_key, block)| self.put_block(last_key.bytes(), block))
    }

    /// Blocks from the one on that may hold `key`, with the last key of each.
    pub(crate) fn blocks_from(
        &self,
        key: Vec<u8>,
    ) -> impl Iterator<Item = Result<(Bytes, Bytes), StoreError>> {
        let is_block = |entry: &Result<(Bytes, Bytes), StoreError>| {
            entry.as_ref().map_or(true, |(_, block)| !block.is_empty())
        };
        Guarded::of(self.blocks.range(key..), &self.path).map(|entry| self.entry(entry?)).filter(is_block)
    }

    pub(crate) fn has_blocks(&self) -> bool {
        !self.blocks.is_empty()
    }

    /// No row has a key of this length.
    fn put_spacer(&self, after: &RowKey, number: u8) -> Result<(), StoreError> {
        self.put_block(&[after.bytes(), &[number]].concat(), &[])
    }

    fn put_block(&self, last_key: &[u8], block: &[u8]) -> Result<(), StoreError> {
        self.blocks.insert(last_key, block).map(drop).map_err(|error| self.error("write", error))
    }
}
