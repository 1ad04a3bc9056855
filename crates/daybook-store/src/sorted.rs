//! Values that are filled in in the order of their keys, written so that sled writes every byte once.
//!
//! A sled node that has more than sixteen entries is split, and both halves are written again; so is a node that has been
//! added to ten times. Large values that are simply inserted in order therefore go to disk three times. Entries without a value
//! cost next to nothing, so the nodes are brought into their shape with such entries first, and a value is then added to a
//! node that is not written again. Empty entries stay where they are, and readers pass over them. (Measured with 400 MiB
//! in values of 32 KiB and two threads: 473 MiB are written instead of 1,450, in less than half of the time.)

use crate::database::{Bytes, Database};
use crate::error::DatabaseError;

/// Empty entries after each value: with the value they are the nine that stay together when seventeen are split.
const SPACERS: u8 = 8;
/// Empty entries between two parts of the key space that are written at the same time. They are more than a node holds:
/// no value of the part behind them is in the node that the part before them is growing in, and is split with it.
const FENCE: u8 = 20;

impl Database {
    /// Marks where a part of the key space begins whose values are about to be written. No key of a value is one byte longer
    /// than another.
    pub fn put_fence(&self, before: &[u8]) -> Result<(), DatabaseError> {
        (0..FENCE).try_for_each(|number| self.put_spacer(before, number))
    }

    /// Writes values that are not empty, by ascending keys.
    pub fn put_sorted<K: AsRef<[u8]>>(&self, values: &[(K, Vec<u8>)]) -> Result<(), DatabaseError> {
        for (key, _) in values {
            self.insert_sorted(key.as_ref(), &[])?;
            (0..SPACERS).try_for_each(|number| self.put_spacer(key.as_ref(), number))?;
        }
        values.iter().try_for_each(|(key, value)| self.insert_sorted(key.as_ref(), value))
    }

    /// Values from the one on whose key is not below `key`, with their keys.
    pub fn sorted_values_from(
        &self,
        key: Vec<u8>,
    ) -> impl Iterator<Item = Result<(Bytes, Bytes), DatabaseError>> {
        self.sorted_from(key).filter(|entry| entry.as_ref().map_or(true, |(_, value)| !value.is_empty()))
    }

    pub fn has_sorted_values(&self) -> bool {
        self.has_sorted()
    }

    fn put_spacer(&self, after: &[u8], number: u8) -> Result<(), DatabaseError> {
        self.insert_sorted(&[after, &[number]].concat(), &[])
    }
}
