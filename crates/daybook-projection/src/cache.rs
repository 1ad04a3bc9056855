//! Write-back cache of one view: rows as the fold sees them, written when the engine commits.

use std::collections::HashMap;
use std::collections::hash_map;
use std::mem::size_of;

use daybook_store::{BATCH_BYTES_MAX, RowHash};
use serde_json::Value;
use uuid::Uuid;

use super::generation::{Commit, Generation};
use super::keys::RowKey;
use super::store::{ReadError, StoreError};
use super::view::{EventMeta, FoldError, Parts, UnsavedParts, View};

/// Bytes that a hash table and a list of changed keys need for an entry beyond the entry itself: load factor and key.
const ENTRY_OVERHEAD_BYTES: usize = 48;

/// The rows of one view, whatever their type.
pub(super) trait Table<E>: Send {
    /// Folds an event into its row. After an error the table must be dropped: it may hold half of the event.
    fn fold(&mut self, stored: &Generation, event: &E, at: &EventMeta<'_>) -> Result<(), FoldError>;
    /// Hands all changed rows to `commit` in ascending order of their keys. They count as written from then on.
    fn write(&mut self, commit: &mut Commit<'_>) -> Result<(), StoreError>;
    /// Forgets all rows. To be called right after they have been written.
    fn forget(&mut self);
    /// Rows and parts to be written.
    fn changed(&self) -> usize;
    /// Bytes of these, estimated from above.
    fn changed_bytes(&self) -> usize;
    /// Bytes in memory, estimated from above.
    fn bytes(&self) -> usize;
}

/// Whether what the tables have to write, with so many entries and bytes beside it, fills a batch of a generation that is
/// served: small enough that no power cut takes what was durable before.
pub(super) fn fills_batch<E>(
    tables: &[Box<dyn Table<E>>],
    entries_max: usize,
    entries_beside: usize,
    bytes_beside: usize,
) -> bool {
    let changed: usize = tables.iter().map(|table| table.changed()).sum();
    let changed_bytes: usize = tables.iter().map(|table| table.changed_bytes()).sum();
    changed + entries_beside >= entries_max || changed_bytes + bytes_beside >= BATCH_BYTES_MAX
}

struct Entry<R> {
    row: Option<R>,
    /// Hash of the row as it is stored.
    stored: Option<RowHash>,
    changed: bool,
    bytes: usize,
}

pub(super) struct CachedTable<V: View> {
    rows: HashMap<Uuid, Entry<V::Row>>,
    changed: Vec<Uuid>,
    parts: UnsavedParts,
    row_bytes: usize,
    /// Of that, the bytes of changed rows.
    changed_row_bytes: usize,
    /// Everything written to parts since the last commit; a part written twice counts twice.
    part_bytes: usize,
}

impl<V: View> Default for CachedTable<V> {
    fn default() -> Self {
        Self {
            rows: HashMap::new(),
            changed: Vec::new(),
            parts: UnsavedParts::new(),
            row_bytes: 0,
            changed_row_bytes: 0,
            part_bytes: 0,
        }
    }
}

impl<V: View> Table<V::Event> for CachedTable<V> {
    fn fold(&mut self, stored: &Generation, event: &V::Event, at: &EventMeta<'_>) -> Result<(), FoldError> {
        let Some((key, change)) = V::change(event) else { return Ok(()) };
        let entry = match self.rows.entry(key) {
            hash_map::Entry::Occupied(occupied) => occupied.into_mut(),
            hash_map::Entry::Vacant(vacant) => vacant.insert(load_entry::<V>(stored, key)?),
        };
        let mut parts = Parts::new(stored, &mut self.parts, V::ID, key);
        entry.row = V::fold(entry.row.take(), change, at, &mut parts)?;
        self.part_bytes += parts.bytes_written();
        let bytes = entry_bytes::<V>(entry.row.as_ref());
        self.row_bytes = self.row_bytes + bytes - entry.bytes;
        self.changed_row_bytes += bytes;
        if entry.changed {
            self.changed_row_bytes -= entry.bytes;
        } else {
            entry.changed = true;
            self.changed.push(key);
        }
        entry.bytes = bytes;
        Ok(())
    }

    fn write(&mut self, commit: &mut Commit<'_>) -> Result<(), StoreError> {
        self.changed.sort_unstable();
        let mut bytes = Vec::new();
        for key in self.changed.drain(..) {
            if let Some(entry) = self.rows.get_mut(&key) {
                entry.changed = false;
                bytes.clear();
                if let Some(row) = &entry.row {
                    V::encode(row, &mut bytes)
                        .map_err(|error| commit.generation.unwritable(V::NAME, key, &error))?;
                }
                let row = entry.row.as_ref().map(|_| bytes.as_slice());
                entry.stored = commit.put_row(V::ID, key, row, entry.stored);
            }
            for ((_, number), part) in self.parts.range((key, 0)..=(key, u32::MAX)) {
                commit.put_part(V::ID, key, *number, part)?;
            }
        }
        self.parts.clear();
        (self.changed_row_bytes, self.part_bytes) = (0, 0);
        Ok(())
    }

    fn forget(&mut self) {
        debug_assert!(self.changed.is_empty(), "a changed row would be lost");
        self.rows = HashMap::new();
        self.row_bytes = 0;
    }

    fn changed(&self) -> usize {
        self.changed.len() + self.parts.len()
    }

    fn changed_bytes(&self) -> usize {
        self.changed_row_bytes + self.part_bytes
    }

    fn bytes(&self) -> usize {
        self.row_bytes + self.part_bytes
    }
}

fn entry_bytes<V: View>(row: Option<&V::Row>) -> usize {
    size_of::<Entry<V::Row>>() + ENTRY_OVERHEAD_BYTES + row.map_or(0, V::heap_bytes)
}

fn load_entry<V: View>(stored: &Generation, key: Uuid) -> Result<Entry<V::Row>, ReadError> {
    let bytes = stored.row(V::ID, key)?;
    let hash = bytes.as_deref().map(|bytes| RowHash::of(RowKey::row(V::ID, key).bytes(), bytes));
    let row = bytes.map(|bytes| V::decode(&bytes).map_err(ReadError::row(V::NAME, key))).transpose()?;
    Ok(Entry { row, stored: hash, changed: false, bytes: 0 })
}

/// A stored row.
///
/// # Errors
/// [`ReadError`] if it cannot be read.
pub fn load<V: View>(stored: &Generation, key: Uuid) -> Result<Option<V::Row>, ReadError> {
    let bytes = stored.row(V::ID, key)?;
    bytes.map(|bytes| V::decode(&bytes).map_err(ReadError::row(V::NAME, key))).transpose()
}

/// A stored row for people.
///
/// # Errors
/// [`ReadError`] if it cannot be read.
pub fn describe<V: View>(stored: &Generation, key: Uuid) -> Result<Option<Value>, ReadError> {
    let row = load::<V>(stored, key)?;
    row.map(|row| V::describe(&row, key, stored)).transpose()
}
