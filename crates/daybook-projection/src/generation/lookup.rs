//! Rows of a generation, from wherever they lie.

use std::cmp::Ordering;
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

    /// The digest of all rows, read again. It differs from [`Generation::digest`] if the store is damaged.
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
        let loose: Box<dyn Iterator<Item = _>> =
            Box::new(self.rows.range(from.clone()..).map(|entry| entry.map_err(StoreError::from)));
        let blocks = self.rows.sorted_values_from(from.clone());
        let in_blocks: Box<dyn Iterator<Item = _>> =
            Box::new(blocks.flat_map(move |block| self.entries(block, &from)));
        StoredRows { generation: self, loose: loose.peekable(), in_blocks: in_blocks.peekable() }
    }

    /// The entries of a block whose keys are not below `from`.
    fn entries<'g>(
        &'g self,
        block: Result<(Bytes, Bytes), DatabaseError>,
        from: &[u8],
    ) -> impl Iterator<Item = Result<(Bytes, Bytes), StoreError>> + use<'g> {
        let entries = block.map_err(StoreError::from).and_then(|(_, bytes)| {
            let range = Block::parse(&bytes).and_then(|block| Ok(block.first_from(from)?..block.len()));
            let range = range.map_err(|error| self.damaged(error))?;
            Ok(range.map(move |index| self.entry(&bytes, index)))
        });
        let (entries, error) = entries.map_or_else(|error| (None, Some(Err(error))), |all| (Some(all), None));
        entries.into_iter().flatten().chain(error)
    }

    fn entry(&self, block: &Bytes, index: usize) -> Result<(Bytes, Bytes), StoreError> {
        let entry = Block::parse(block).and_then(|block| block.entry(index));
        let (key, value) = entry.map_err(|error| self.damaged(error))?;
        Ok((block.slice(value.start - key.len()..value.start), block.slice(value)))
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

/// Stored keys and values, in the order of the keys.
type Entries<'g> = Peekable<Box<dyn Iterator<Item = Result<(Bytes, Bytes), StoreError>> + 'g>>;

/// Stored rows in order: loose ones and those in blocks merged, the loose one where there are both.
pub struct StoredRows<'g> {
    generation: &'g Generation,
    loose: Entries<'g>,
    in_blocks: Entries<'g>,
}

impl StoredRows<'_> {
    /// The next key, and its row; none if that was removed.
    fn step(&mut self) -> Option<Result<(Bytes, Option<Bytes>), StoreError>> {
        let order = match (self.loose.peek(), self.in_blocks.peek()) {
            (Some(Ok((loose, _))), Some(Ok((in_block, _)))) => loose[..].cmp(&in_block[..]),
            (Some(_), None) | (Some(Err(_)), _) => Ordering::Less,
            (_, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        if order == Ordering::Greater {
            return Some(self.in_blocks.next()?.map(|(key, row)| (key, Some(row))));
        }
        if order == Ordering::Equal {
            self.in_blocks.next();
        }
        Some(self.loose.next()?.and_then(|(key, value)| {
            self.generation.moments.check_whole()?;
            Ok((key, self.generation.present(&value)?))
        }))
    }
}

impl Iterator for StoredRows<'_> {
    type Item = Result<StoredRow, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.step()? {
                Err(error) => return Some(Err(error)),
                Ok((_, None)) => {}
                Ok((key, Some(value))) => {
                    let row =
                        keys::decode(&key).map(|(view, key, part)| StoredRow { view, key, part, value });
                    return Some(row.map_err(|error| self.generation.damaged(error)));
                }
            }
        }
    }
}
