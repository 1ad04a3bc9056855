//! Rows compared range by range: digests of ranges first, rows of a range only where they differ. A range of which rows cannot
//! be read is one that differs, and does not keep the others from being compared.

use daybook_store::Digest;
use serde::{Deserialize, Serialize};

use crate::generation::Generation;
use crate::store::StoreError;

/// Rows between two borders.
const RANGE_ROWS: usize = 4_096;
pub(super) const ANSWER_RANGES_MAX: usize = 16;
/// Rows of one answer: a range of another generation may hold more than ours.
pub(super) const ANSWER_ROWS_MAX: usize = 4 * RANGE_ROWS;
/// Bytes of these rows, but for the last one's.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// A stored key as text: hexadecimal digits.
pub type StoredKey = String;

/// The keys from the first on, up to and without the second.
pub type Range = (Option<StoredKey>, Option<StoredKey>);

/// All rows before the first border, between each two, and from the last one on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges {
    /// Stored keys, ascending; each belongs to the range that it begins.
    borders: Vec<StoredKey>,
}

impl Ranges {
    /// Reads all rows of a generation and chooses borders.
    pub fn choose(generation: &Generation) -> Result<Self, StoreError> {
        let mut ranges = Self::default();
        for (index, row) in generation.all_rows().enumerate() {
            let row = row?;
            if index > 0 && index % RANGE_ROWS == 0 {
                ranges.borders.push(hex::encode(row.stored_key()));
            }
        }
        Ok(ranges)
    }

    pub fn count(&self) -> usize {
        self.borders.len() + 1
    }

    pub fn range(&self, index: usize) -> Range {
        let from = index.checked_sub(1).and_then(|before| self.borders.get(before));
        (from.cloned(), self.borders.get(index).cloned())
    }
}

/// What the rows of one range add up to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RangeDigest {
    Digest(String),
    /// Some of them cannot be read: what the store said.
    Unreadable(String),
}

impl RangeDigest {
    /// Reads the rows of the first of these ranges, as many as one answer takes. Once `stop` says so, which is asked for every
    /// row, what it returns is not to be used.
    /// Errors: [`StoreError`] only for borders that are no hexadecimal digits.
    pub fn of_all(
        generation: &Generation,
        ranges: &[Range],
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<Self>, StoreError> {
        let digest = |(from, to): &Range| {
            let from = decoded(generation, from.as_deref())?;
            let digest = digest(generation, from, to.as_ref(), stop);
            Ok(digest.map_or_else(
                |error| Self::Unreadable(error.detail),
                |digest| Self::Digest(digest.to_string()),
            ))
        };
        ranges.iter().take(ANSWER_RANGES_MAX).map(digest).collect()
    }
}

fn digest(
    generation: &Generation,
    from: Vec<u8>,
    to: Option<&StoredKey>,
    stop: &dyn Fn() -> bool,
) -> Result<Digest, StoreError> {
    let mut digest = Digest::default();
    for row in generation.rows_from(from) {
        let row = row?;
        if stop() || to.is_some_and(|to| hex::encode(row.stored_key()) >= *to) {
            break;
        }
        digest.add(row.hash());
    }
    Ok(digest)
}

fn decoded(generation: &Generation, key: Option<&str>) -> Result<Vec<u8>, StoreError> {
    let decoded = key.map(hex::decode).transpose();
    let decoded = decoded.map_err(|error| StoreError::new("read", generation.path(), error))?;
    Ok(decoded.unwrap_or_default())
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeRows {
    pub rows: Vec<RangeRow>,
    pub more: bool,
    /// Why the rows behind these cannot be read, if they cannot.
    pub unreadable: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeRow {
    pub key: StoredKey,
    /// Its bytes, as hexadecimal digits.
    pub value: String,
}

impl RangeRows {
    /// The first rows of a range, at most `limit`, as many as one answer takes and as far as they can be read.
    /// Errors: [`StoreError`] only for a key that is no hexadecimal digits.
    pub fn read(generation: &Generation, (from, to): &Range, limit: usize) -> Result<Self, StoreError> {
        let from = decoded(generation, from.as_deref())?;
        let mut found = Self::default();
        let limit = limit.min(ANSWER_ROWS_MAX);
        let filled = found.fill(generation, from, to.as_ref(), limit);
        found.unreadable = filled.err().map(|error| error.detail);
        Ok(found)
    }

    fn fill(
        &mut self,
        generation: &Generation,
        from: Vec<u8>,
        to: Option<&StoredKey>,
        limit: usize,
    ) -> Result<(), StoreError> {
        let mut bytes = 0;
        for row in generation.rows_from(from) {
            let row = row?;
            let key = hex::encode(row.stored_key());
            if to.is_some_and(|to| key >= *to) {
                break;
            }
            if self.rows.len() >= limit || bytes >= ANSWER_BYTES_MAX {
                self.more = true;
                break;
            }
            bytes += row.value.len();
            self.rows.push(RangeRow { key, value: hex::encode(&*row.value) });
        }
        Ok(())
    }

    /// Where the rows that are not told may begin, if there are any.
    pub(super) fn end(&self) -> Option<StoredKey> {
        let is_cut = self.more || self.unreadable.is_some();
        // The next key there can be.
        self.rows.last().filter(|_| is_cut).map(|last| format!("{}00", last.key))
    }
}
