//! Rows compared range by range: digests of ranges first, rows of a range only where they differ. A range of which rows cannot
//! be read is one that differs, and does not keep the others from being compared.

use std::panic::{AssertUnwindSafe, catch_unwind};

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
    pub digests: Vec<RangeDigest>,
}

/// What the rows of one range add up to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RangeDigest {
    /// Their digest.
    Digest(String),
    /// Some of them cannot be read: what the store said.
    Unreadable(String),
}

impl From<Digest> for RangeDigest {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest.to_string())
    }
}

/// Rows of one range.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeRows {
    /// In the order of their keys.
    pub rows: Vec<RangeRow>,
    /// There are more than are told.
    pub more: bool,
    /// Why the rows behind these cannot be read, if they cannot.
    pub unreadable: Option<String>,
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
                ranges.digests.push(std::mem::take(&mut digest).into());
                rows = 0;
            }
            digest.add(row.hash());
            rows += 1;
        }
        ranges.digests.push(digest.into());
        Ok(ranges)
    }

    /// Reads all rows of a generation within borders that were chosen elsewhere.
    ///
    /// # Errors
    /// [`StoreError`] only for borders that are no hexadecimal digits.
    pub fn within(generation: &Generation, borders: Vec<StoredKey>) -> Result<Self, StoreError> {
        let mut found = Self { borders, digests: Vec::new() };
        for range in 0..=found.borders.len() {
            let (from, to) = found.range(range);
            let from = decoded(generation, from.map(String::as_str))?;
            let digest = guarded(|| digest(generation, from, to));
            found.digests.push(digest.map_or_else(RangeDigest::Unreadable, RangeDigest::from));
        }
        Ok(found)
    }

    /// Where a range begins and ends.
    fn range(&self, range: usize) -> (Option<&StoredKey>, Option<&StoredKey>) {
        (range.checked_sub(1).and_then(|before| self.borders.get(before)), self.borders.get(range))
    }

    /// Ranges in which the other one, of the same borders, differs: where each begins and ends.
    pub fn differing<'s>(
        &'s self,
        other: &'s Self,
    ) -> impl Iterator<Item = (Option<&'s StoredKey>, Option<&'s StoredKey>)> {
        let differs = |range: &usize| self.digests.get(*range) != other.digests.get(*range);
        let ranges = (0..self.digests.len()).filter(differs);
        ranges.map(|range| self.range(range))
    }
}

fn digest(generation: &Generation, from: Vec<u8>, to: Option<&StoredKey>) -> Result<Digest, StoreError> {
    let mut digest = Digest::default();
    for row in generation.rows_from(from) {
        let row = row?;
        if to.is_some_and(|to| hex::encode(row.stored_key()) >= *to) {
            break;
        }
        digest.add(row.hash());
    }
    Ok(digest)
}

/// What reading gives, or what was said when it could not go on: sled panics where it meets damage that it does not expect.
fn guarded<T>(read: impl FnOnce() -> Result<T, StoreError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(|error| error.detail),
        Err(_) => Err("sled met damage that it does not expect".to_owned()),
    }
}

fn decoded(generation: &Generation, key: Option<&str>) -> Result<Vec<u8>, StoreError> {
    let decoded = key.map(hex::decode).transpose();
    let decoded = decoded.map_err(|error| StoreError::new("read", generation.path(), error))?;
    Ok(decoded.unwrap_or_default())
}

impl RangeRows {
    /// The rows of a generation from `from` on, up to and without `to`, or as far as they can be read.
    ///
    /// # Errors
    /// [`StoreError`] only for a key that is no hexadecimal digits.
    pub fn read(generation: &Generation, from: Option<&str>, to: Option<&str>) -> Result<Self, StoreError> {
        let from = decoded(generation, from)?;
        let mut found = Self::default();
        found.unreadable = guarded(|| found.fill(generation, from, to)).err();
        Ok(found)
    }

    fn fill(&mut self, generation: &Generation, from: Vec<u8>, to: Option<&str>) -> Result<(), StoreError> {
        for row in generation.rows_from(from) {
            let row = row?;
            let key = hex::encode(row.stored_key());
            if to.is_some_and(|to| *key >= *to) {
                break;
            }
            if self.rows.len() == ANSWER_ROWS_MAX {
                self.more = true;
                break;
            }
            self.rows.push(RangeRow { key, value: hex::encode(&*row.value) });
        }
        Ok(())
    }
}
