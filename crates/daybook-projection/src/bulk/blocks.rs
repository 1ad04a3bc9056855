//! Rows in ascending order, packed into blocks and counted in the digest.

use std::collections::BTreeMap;

use daybook_store::{Digest, RowHash};
use uuid::Uuid;

use crate::block::BlockBuilder;
use crate::generation::Generation;
use crate::keys::RowKey;
use crate::store::StoreError;
use crate::view::PartStore;

/// Bytes at which a block is closed. A reader that misses sled's cache reads all of it; each one costs nine entries.
/// A build that goes on must come to the same blocks: whoever changes this raises the version of the store.
const BLOCK_BYTES: usize = 32 << 10;
/// Blocks that are written together; they wait in memory. They fill a segment of sled's: with more, the entries that
/// prepare for them fill segments of which little stays, and sled moves that elsewhere.
const BLOCKS_TOGETHER: usize = 32;

/// A fold reads what it has written itself: what else lies there was left by a build that was killed, or by a fold that failed.
impl PartStore for BlockWriter<'_> {
    fn part(&self, view: u8, key: Uuid, number: u32) -> Result<Option<Vec<u8>>, StoreError> {
        match self.loose.get(&number) {
            Some(Some(_)) => PartStore::part(self.generation, view, key, number),
            _ => Ok(None),
        }
    }
}

/// Writes the rows of one view's keys.
pub(crate) struct BlockWriter<'g> {
    pub(super) generation: &'g Generation,
    view: u8,
    block: BlockBuilder,
    /// Blocks that are complete, with the last key in each.
    complete: Vec<(RowKey, Vec<u8>)>,
    last_key: RowKey,
    digest: Digest,
    /// Parts that were written by themselves, of the row at work, with their hashes; none of what was written before it was begun anew.
    loose: BTreeMap<u32, Option<RowHash>>,
}

impl<'g> BlockWriter<'g> {
    /// For rows whose keys are at least `from`. Rows before it may be written at the same time.
    pub(crate) fn new(generation: &'g Generation, view: u8, from: Uuid) -> Result<Self, StoreError> {
        let last_key = RowKey::last_before(view, from);
        generation.put_fence(&last_key)?;
        let (block, digest, loose) = (BlockBuilder::default(), Digest::default(), BTreeMap::new());
        Ok(Self { generation, view, block, complete: Vec::new(), last_key, digest, loose })
    }

    /// Appends a row. Its parts follow, then the next row.
    pub(super) fn row(&mut self, key: Uuid, value: &[u8]) -> Result<(), StoreError> {
        self.push(RowKey::row(self.view, key), value)
    }

    /// Appends a part, or writes it again by itself if it was.
    pub(super) fn part(&mut self, key: Uuid, number: u32, value: &[u8]) -> Result<(), StoreError> {
        if self.loose.contains_key(&number) {
            return self.loose_part(key, number, value);
        }
        self.push(RowKey::part(self.view, key, number), value)
    }

    /// Writes a part by itself: of a row whose changes are not yet all folded, and which has too many parts to wait.
    pub(super) fn loose_part(&mut self, key: Uuid, number: u32, value: &[u8]) -> Result<(), StoreError> {
        let key = RowKey::part(self.view, key, number);
        self.generation.put_loose(&key, value)?;
        let hash = RowHash::of(key.bytes(), value);
        self.digest.add(hash);
        if let Some(Some(replaced)) = self.loose.insert(number, Some(hash)) {
            self.digest.remove(replaced);
        }
        Ok(())
    }

    /// The row and its parts are all there.
    pub(super) fn row_is_complete(&mut self) {
        debug_assert!(self.loose.values().all(Option::is_some), "a fold wrote other parts the second time");
        self.loose.clear();
    }

    /// The row is folded anew: nothing of it counts, and what was written of it is written again.
    pub(super) fn begin_again(&mut self) {
        for hash in self.loose.values_mut().filter_map(Option::take) {
            self.digest.remove(hash);
        }
    }

    fn push(&mut self, key: RowKey, value: &[u8]) -> Result<(), StoreError> {
        self.digest.add(RowHash::of(key.bytes(), value));
        self.block.push(key.bytes(), value);
        self.last_key = key;
        if self.block.bytes() >= BLOCK_BYTES { self.close() } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), StoreError> {
        if self.block.is_empty() {
            return Ok(());
        }
        self.complete.push((self.last_key, self.block.finish().to_vec()));
        self.block.clear();
        if self.complete.len() >= BLOCKS_TOGETHER { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), StoreError> {
        self.generation.put_blocks(&self.complete)?;
        self.complete.clear();
        Ok(())
    }

    /// Writes what is left. Returns the digest of all rows that were written.
    pub(crate) fn finish(mut self) -> Result<Digest, StoreError> {
        self.close()?;
        self.write()?;
        Ok(self.digest)
    }
}
