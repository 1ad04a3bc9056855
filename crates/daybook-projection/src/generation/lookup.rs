//! Rows of a generation, from wherever they lie.

use std::iter::Peekable;

use daybook_store::{Bytes, DatabaseError, Digest, RowHash};
use uuid::Uuid;

use super::Generation;
use crate::block::Block;
use crate::codec::RowError;
use crate::keys::{self, RowKey};
use crate::store::{Failure, StoreError};
use crate::view::PartStore;

/// First byte of a loose row that was removed; nothing follows.
pub(super) const REMOVED: u8 = 0;
/// First byte of a loose row that is there.
pub(super) const PRESENT: u8 = 1;

impl Generation {
    pub fn row(&self, view: u8, key: Uuid) -> Result<Option<Bytes>, StoreError> {
        self.stored(&RowKey::row(view, key))
    }

    pub fn part(&self, view: u8, key: Uuid, number: u32) -> Result<Option<Bytes>, StoreError> {
        self.stored(&RowKey::part(view, key, number))
    }

    pub(crate) fn stored(&self, key: &RowKey) -> Result<Option<Bytes>, StoreError> {
        let loose = self.rows.get(key.bytes())?;
        self.moments.check_whole()?;
        match loose {
            Some(loose) => self.present(&loose),
            None if self.has_blocks => self.in_block(key),
            None => Ok(None),
        }
    }

    fn in_block(&self, key: &RowKey) -> Result<Option<Bytes>, StoreError> {
        let Some(found) = self.rows.sorted_values_from(key.bytes().to_vec()).next() else { return Ok(None) };
        let (_, block) = found?;
        let at = Block::parse(&block).and_then(|block| block.find(key.bytes()));
        Ok(at.map_err(|error| self.damaged(error))?.map(|value| block.slice(value)))
    }

    /// The row that a loose entry holds; `None` if it says that the row was removed.
    fn present(&self, loose: &Bytes) -> Result<Option<Bytes>, StoreError> {
        match loose.first() {
            Some(&PRESENT) => Ok(Some(loose.slice(1..loose.len()))),
            Some(&REMOVED) if loose.len() == 1 => Ok(None),
            _ => Err(self.damaged(RowError::impossible("row", format!("{:?}", loose.first())))),
        }
    }

    /// At most `limit` rows of a view whose keys come after `after`, in the order of their keys.
    pub fn scan(
        &self,
        view: u8,
        after: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<(Uuid, Bytes)>, StoreError> {
        let mut found = Vec::new();
        for row in self.stored_rows(keys::scan_start(view, after)) {
            let row = row?;
            if row.view != view || found.len() == limit {
                break;
            }
            if row.part.is_none() {
                found.push((row.key, row.value));
            }
        }
        Ok(found)
    }

    /// All rows and parts of all views, in the order of their stored keys.
    pub fn all_rows(&self) -> StoredRows<'_> {
        self.stored_rows(keys::scan_start(1, None))
    }

    /// The digest of all rows, read anew. It differs from [`Generation::digest`] if the store is damaged.
    pub fn recount_digest(&self) -> Result<Digest, StoreError> {
        let mut digest = Digest::default();
        for row in self.all_rows() {
            digest.add(row?.hash());
        }
        Ok(digest)
    }

    /// All rows and parts whose stored key is at least `from`, in the order of those keys.
    pub(crate) fn rows_from(&self, from: Vec<u8>) -> StoredRows<'_> {
        self.stored_rows(from.max(keys::scan_start(1, None)))
    }

    fn stored_rows(&self, from: Vec<u8>) -> StoredRows<'_> {
        let loose: Entries<'_> = Box::new(self.rows.range(from.clone()..));
        let blocks: Entries<'_> = Box::new(self.rows.sorted_values_from(from.clone()));
        StoredRows { generation: self, loose: loose.peekable(), blocks, block: None, from }
    }

    pub(super) fn damaged(&self, error: RowError) -> StoreError {
        StoreError::of(Failure::Damage, "read", &self.path, error)
    }
}

impl PartStore for Generation {
    fn part(&self, view: u8, key: Uuid, number: u32) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(Self::part(self, view, key, number)?.map(|bytes| bytes.to_vec()))
    }
}

#[derive(Debug, Clone)]
pub struct StoredRow {
    pub view: u8,
    pub key: Uuid,
    /// Number of the part; `None` for the row itself.
    pub part: Option<u32>,
    pub value: Bytes,
}

impl StoredRow {
    pub fn hash(&self) -> RowHash {
        RowHash::of(RowKey::of(self.view, self.key, self.part).bytes(), &self.value)
    }

    pub(crate) fn stored_key(&self) -> Vec<u8> {
        RowKey::of(self.view, self.key, self.part).bytes().to_vec()
    }
}

/// A stored key, and its row; `None` stands for one that was removed.
type Step = (Vec<u8>, Option<Bytes>);

type Entries<'g> = Box<dyn Iterator<Item = Result<(Bytes, Bytes), DatabaseError>> + 'g>;

/// Stored rows in order: loose ones and those in blocks merged, the loose one where there are both.
pub struct StoredRows<'g> {
    generation: &'g Generation,
    loose: Peekable<Entries<'g>>,
    blocks: Entries<'g>,
    /// The block being read, and the index of its next entry.
    block: Option<(Bytes, usize)>,
    /// No entry of a block before this key is wanted.
    from: Vec<u8>,
}

impl StoredRows<'_> {
    /// Key and value of the next row in a block, without moving on.
    fn peek_block(&mut self) -> Result<Option<(Vec<u8>, Bytes)>, StoreError> {
        loop {
            if self.block.is_none() {
                let Some(next) = self.blocks.next() else { return Ok(None) };
                let (_, bytes) = next?;
                let first = Block::parse(&bytes).and_then(|block| block.first_from(&self.from));
                let first = first.map_err(|error| self.generation.damaged(error))?;
                self.block = Some((bytes, first));
            }
            let Some((bytes, index)) = &self.block else { continue };
            let block = Block::parse(bytes).map_err(|error| self.generation.damaged(error))?;
            if *index < block.len() {
                let (key, value) = block.entry(*index).map_err(|error| self.generation.damaged(error))?;
                return Ok(Some((key.to_vec(), bytes.slice(value))));
            }
            self.block = None;
        }
    }

    fn skip_block_entry(&mut self) {
        if let Some((_, index)) = &mut self.block {
            *index += 1;
        }
    }

    /// The next row, or the next that was removed.
    fn step(&mut self) -> Result<Option<Step>, StoreError> {
        let block = self.peek_block()?;
        let loose = match self.loose.peek() {
            Some(Err(_)) => return self.take_loose(),
            Some(Ok((key, _))) => Some(key.to_vec()),
            None => None,
        };
        match (loose, block) {
            (None, None) => Ok(None),
            (Some(loose), Some((block, _))) if loose == block => {
                self.skip_block_entry();
                self.take_loose()
            }
            (Some(loose), Some((block, _))) if loose < block => self.take_loose(),
            (Some(_), None) => self.take_loose(),
            (_, Some((key, value))) => {
                self.skip_block_entry();
                Ok(Some((key, Some(value))))
            }
        }
    }

    fn take_loose(&mut self) -> Result<Option<Step>, StoreError> {
        let Some(entry) = self.loose.next() else { return Ok(None) };
        let (key, value) = entry?;
        self.generation.moments.check_whole()?;
        Ok(Some((key.to_vec(), self.generation.present(&value)?)))
    }
}

impl Iterator for StoredRows<'_> {
    type Item = Result<StoredRow, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            return match self.step() {
                Err(error) => Some(Err(error)),
                Ok(None) => None,
                Ok(Some((_, None))) => continue,
                Ok(Some((key, Some(value)))) => Some(match keys::decode(&key) {
                    Ok((view, key, part)) => Ok(StoredRow { view, key, part, value }),
                    Err(error) => Err(self.generation.damaged(error)),
                }),
            };
        }
    }
}
