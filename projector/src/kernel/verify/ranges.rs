//! Rows compared range by range: digests of ranges first, rows of a range only where they differ.

use serde::{Deserialize, Serialize};

use crate::kernel::digest::Digest;
use crate::kernel::generation::Generation;
use crate::kernel::store::StoreError;

/// Rows between two borders.
const RANGE_ROWS: usize = 4_096;
/// Rows of one answer: a range of another generation may hold more than ours.
const ANSWER_ROWS_MAX: usize = 4 * RANGE_ROWS;

/// A stored key as text: hexadecimal digits.
pub type StoredKey = String;

/// Digests of all rows before the first border, between each two, and from the last one on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeDigests {
    /// Stored keys, ascending; each belongs to the range that it begins.
    pub borders: Vec<StoredKey>,
    /// One more than borders.
    pub digests: Vec<String>,
}

/// Rows of one range.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeRows {
    /// In the order of their keys.
    pub rows: Vec<RangeRow>,
    /// There are more than are told.
    pub more: bool,
}

/// One stored row or part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeRow {
    /// Its stored key.
    pub key: StoredKey,
    /// Its bytes, as hexadecimal digits.
    pub value: String,
}

impl RangeDigests {
    /// Reads all rows of a generation and chooses borders.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn choose(generation: &Generation) -> Result<Self, StoreError> {
        let mut ranges = Self::default();
        let (mut digest, mut rows) = (Digest::default(), 0);
        for row in generation.all_rows() {
            let row = row?;
            if rows == RANGE_ROWS {
                ranges.borders.push(hex::encode(row.stored_key()));
                ranges.digests.push(std::mem::take(&mut digest).to_string());
                rows = 0;
            }
            digest.add(row.hash());
            rows += 1;
        }
        ranges.digests.push(digest.to_string());
        Ok(ranges)
    }

    /// Reads all rows of a generation within borders that were chosen elsewhere.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn within(generation: &Generation, borders: Vec<StoredKey>) -> Result<Self, StoreError> {
        let mut digests = vec![Digest::default(); borders.len() + 1];
        let mut range = 0;
        for row in generation.all_rows() {
            let row = row?;
            let key = hex::encode(row.stored_key());
            while borders.get(range).is_some_and(|border| *border <= key) {
                range += 1;
            }
            digests[range].add(row.hash());
        }
        Ok(Self { borders, digests: digests.iter().map(Digest::to_string).collect() })
    }

    /// Ranges in which the other one, of the same borders, differs: where each begins and ends.
    pub fn differing<'s>(
        &'s self,
        other: &'s Self,
    ) -> impl Iterator<Item = (Option<&'s StoredKey>, Option<&'s StoredKey>)> {
        let differs = |range: &usize| self.digests.get(*range) != other.digests.get(*range);
        let ranges = (0..self.digests.len()).filter(differs);
        ranges.map(|range| {
            (range.checked_sub(1).and_then(|before| self.borders.get(before)), self.borders.get(range))
        })
    }
}

impl RangeRows {
    /// The rows of a generation from `from` on, up to and without `to`.
    ///
    /// # Errors
    /// [`StoreError`]; a key that is no hexadecimal digits is none of ours.
    pub fn read(generation: &Generation, from: Option<&str>, to: Option<&str>) -> Result<Self, StoreError> {
        let from = from.map(hex::decode).transpose();
        let from = from.map_err(|error| StoreError::new("read", generation.path(), error))?;
        let mut found = Self::default();
        for row in generation.rows_from(from.unwrap_or_default()) {
            let row = row?;
            let key = hex::encode(row.stored_key());
            if to.is_some_and(|to| *key >= *to) {
                break;
            }
            if found.rows.len() == ANSWER_ROWS_MAX {
                found.more = true;
                break;
            }
            found.rows.push(RangeRow { key, value: hex::encode(&*row.value) });
        }
        Ok(found)
    }
}
