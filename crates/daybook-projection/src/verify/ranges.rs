//! Rows compared range by range: digests of ranges first, rows of a range only where they differ. A range of which rows cannot
//! be read is one that differs, and does not keep the others from being compared.

use daybook_store::Digest;
use serde::{Deserialize, Serialize};

use crate::generation::{Generation, StoredRow};
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
        let digest = |range: &Range| {
            let mut rows = rows(generation, range)?.take_while(|_| !stop());
            let digest = rows.try_fold(Digest::default(), |mut digest, row| {
                digest.add(row?.1.hash());
                Ok(digest)
            });
            Ok(digest.map_or_else(
                |error: StoreError| Self::Unreadable(error.detail),
                |digest| Self::Digest(digest.to_string()),
            ))
        };
        ranges.iter().take(ANSWER_RANGES_MAX).map(digest).collect()
    }
}

/// The rows of a range, with their stored keys.
fn rows<'g>(
    generation: &'g Generation,
    (from, to): &'g Range,
) -> Result<impl Iterator<Item = Result<(StoredKey, StoredRow), StoreError>> + 'g, StoreError> {
    let from = from.as_ref().map(hex::decode).transpose();
    let from = from.map_err(|error| StoreError::new("read", generation.path(), error))?;
    let rows = generation.rows_from(from.unwrap_or_default());
    let rows = rows.map(|row| row.map(|row| (hex::encode(row.stored_key()), row)));
    Ok(rows.take_while(move |row| match (row, to) {
        (Ok((key, _)), Some(to)) => key < to,
        _ => true,
    }))
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
    pub fn read(generation: &Generation, range: &Range, limit: usize) -> Result<Self, StoreError> {
        let (mut found, mut bytes) = (Self::default(), 0);
        for row in rows(generation, range)? {
            let (key, StoredRow { value, .. }) = match row {
                Ok(row) => row,
                Err(error) => {
                    found.unreadable = Some(error.detail);
                    break;
                }
            };
            if found.rows.len() >= limit.min(ANSWER_ROWS_MAX) || bytes >= ANSWER_BYTES_MAX {
                found.more = true;
                break;
            }
            bytes += value.len();
            found.rows.push(RangeRow { key, value: hex::encode(&*value) });
        }
        Ok(found)
    }

    /// Where the rows that were left out may begin, if there are any.
    pub(super) fn end(&self) -> Option<StoredKey> {
        let is_cut = self.more || self.unreadable.is_some();
        // The next key there can be.
        self.rows.last().filter(|_| is_cut).map(|last| format!("{}00", last.key))
    }
}
