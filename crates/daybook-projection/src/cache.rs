//! Write-back cache of one view: rows as the fold sees them, written when the engine commits.

use std::collections::HashMap;
use std::collections::hash_map;
use std::mem::size_of;

use daybook_store::{BATCH_BYTES_MAX, RowHash};
use uuid::Uuid;

use super::change::{self, ChangeAt};
use super::checkpoint::SourceId;
use super::generation::{Commit, Generation};
use super::keys::RowKey;
use super::projection::Projection;
use super::quarantine::Parking;
use super::sources::Source;
use super::stop::StopReason;
use super::store::{ReadError, StoreError};
use super::view::{FoldError, Parts, UncommittedParts, View};

/// Bytes that a hash table and a list of changed keys need for an entry beyond the entry itself: load factor and key.
const ENTRY_OVERHEAD_BYTES: usize = 48;

pub(super) struct Tables<E: 'static> {
    views: Vec<Box<dyn Table<E>>>,
    /// The partitions, in the order of the checkpoint.
    sources: Vec<SourceId>,
}

impl<E> Tables<E> {
    pub(super) fn new(projection: &Projection<E>, sources: &[Source]) -> Self {
        let sources = sources.iter().map(|source| source.id.clone()).collect();
        Self { views: projection.views.iter().map(|view| (view.table)()).collect(), sources }
    }

    /// Folds an event into the rows of all views but those that leave it out. A change that contradicts its row is parked, and so is one
    /// of a row that waits; the row and all other views are as if it had not come. Returns whether none was parked.
    /// Errors: [`StopReason`]; then nothing of the event is in any row, unless [`Tables::is_torn`].
    pub(super) fn fold(
        &mut self,
        stored: &Generation,
        event: &E,
        (at, id): (&ChangeAt, Uuid),
        left_out: &[u8],
        parking: &mut Parking,
    ) -> Result<bool, StopReason> {
        let (parked, _) = parking.uncommitted();
        let folded = self.fold_each(stored, event, (at, id), left_out, parking);
        if folded.is_err() {
            parking.back_to(parked);
            let origin = Origin { stored, sources: &self.sources };
            self.views.iter_mut().for_each(|view| view.undo(at, &origin));
        }
        folded
    }

    fn fold_each(
        &mut self,
        stored: &Generation,
        event: &E,
        (at, id): (&ChangeAt, Uuid),
        left_out: &[u8],
        parking: &mut Parking,
    ) -> Result<bool, StopReason> {
        let origin = Origin { stored, sources: &self.sources };
        let source = &self.sources[at.source as usize];
        let stop = |error| StopReason::fold(source.at(at.offset, Some(id)), error);
        let mut is_whole = true;
        for table in &mut self.views {
            let view = table.id();
            if left_out.contains(&view) {
                continue;
            }
            let waits = |row: Uuid| parking.waits(at.source as usize, view, row.as_bytes());
            let unfolded = table.fold(event, at, &origin, &waits).map_err(stop)?;
            let Some(Unfolded { row, change, error }) = unfolded else { continue };
            is_whole = false;
            parking.park_change(source, at, (view, row), &change, Some(id), error.map(stop))?;
        }
        Ok(is_whole)
    }

    /// Folds a change that has waited.
    /// Errors: As [`Tables::fold`], and if it contradicts its row.
    pub(super) fn fold_change(
        &mut self,
        stored: &Generation,
        (view, row): (u8, Uuid),
        change: &[u8],
        at: &ChangeAt,
    ) -> Result<(), StopReason> {
        let origin = Origin { stored, sources: &self.sources };
        let stop = |error| StopReason::fold(self.sources[at.source as usize].at(at.offset, None), error);
        let table = self.views.iter_mut().find(|table| table.id() == view);
        let table = table.ok_or_else(|| StopReason::Defect { detail: format!("there is no view {view}") })?;
        match table.fold_bytes(row, change, at, &origin).map_err(stop)? {
            Some(Unfolded { error: Some(error), .. }) => Err(stop(error)),
            _ => Ok(()),
        }
    }

    /// Whether an event could not be taken out of the rows again: they must be dropped.
    pub(super) fn is_torn(&self) -> bool {
        self.views.iter().any(|view| view.is_torn())
    }

    /// Hands all changed rows to `commit`. They count as written from then on.
    pub(super) fn write(&mut self, commit: &mut Commit<'_>) -> Result<(), StoreError> {
        self.views.iter_mut().try_for_each(|view| view.write(commit))
    }

    /// Forgets all rows. To be called right after they have been written.
    pub(super) fn forget(&mut self) {
        self.views.iter_mut().for_each(|view| view.forget());
    }

    /// Bytes in memory, estimated from above.
    pub(super) fn bytes(&self) -> usize {
        self.views.iter().map(|view| view.sizes().bytes).sum()
    }

    /// Whether what is to be written, with so many entries and bytes beside it, fills a batch of a generation that is served: small
    /// enough that no power cut takes what was durable before.
    pub(super) fn fill_batch(&self, entries_max: usize, entries_beside: usize, bytes_beside: usize) -> bool {
        let changed: usize = self.views.iter().map(|view| view.sizes().changed).sum();
        let changed_bytes: usize = self.views.iter().map(|view| view.sizes().changed_bytes).sum();
        changed + entries_beside >= entries_max || changed_bytes + bytes_beside >= BATCH_BYTES_MAX
    }
}

/// Where rows come from, and of which partitions changes are.
pub(super) struct Origin<'f> {
    stored: &'f Generation,
    sources: &'f [SourceId],
}

/// A change that is in no row: its row waits already, or this is why it begins to.
pub(super) struct Unfolded {
    row: Uuid,
    change: Vec<u8>,
    error: Option<FoldError>,
}

/// The rows of one view, whatever their type.
pub(super) trait Table<E>: Send {
    fn id(&self) -> u8;
    /// Folds an event into its row, if that does not wait.
    fn fold(
        &mut self,
        event: &E,
        at: &ChangeAt,
        origin: &Origin<'_>,
        waits: &dyn Fn(Uuid) -> bool,
    ) -> Result<Option<Unfolded>, FoldError>;
    /// Folds a change into its row.
    fn fold_bytes(
        &mut self,
        row: Uuid,
        change: &[u8],
        at: &ChangeAt,
        origin: &Origin<'_>,
    ) -> Result<Option<Unfolded>, FoldError>;
    /// Takes the change of this place out again, if it is the last one.
    fn undo(&mut self, at: &ChangeAt, origin: &Origin<'_>);
    fn is_torn(&self) -> bool;
    /// Hands all changed rows to `commit` in ascending order of their keys.
    fn write(&mut self, commit: &mut Commit<'_>) -> Result<(), StoreError>;
    fn forget(&mut self);
    fn sizes(&self) -> Sizes;
}

pub(super) struct Sizes {
    changed: usize,
    /// Bytes of these, estimated from above.
    changed_bytes: usize,
    bytes: usize,
}

struct Entry<R> {
    row: Option<R>,
    stored: Option<RowHash>,
    changed: bool,
    bytes: usize,
}

/// A fold takes the row by value, so one that fails has lost it. The row is then made again: as it is stored, with the changes since the
/// last commit, which are kept as bytes for that. A copy of each row before each fold would cost more, and says nothing of parts.
pub(super) struct CachedTable<V: View> {
    rows: HashMap<Uuid, Entry<V::Row>>,
    /// All changes since the last commit, one behind the other: with their places, and where each begins.
    since: Vec<u8>,
    begins: Vec<(Uuid, usize)>,
    torn: bool,
    changed: Vec<Uuid>,
    parts: UncommittedParts,
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
            since: Vec::new(),
            begins: Vec::new(),
            torn: false,
            changed: Vec::new(),
            parts: UncommittedParts::new(),
            row_bytes: 0,
            changed_row_bytes: 0,
            part_bytes: 0,
        }
    }
}

impl<V: View> Table<V::Event> for CachedTable<V> {
    fn id(&self) -> u8 {
        V::ID
    }

    fn fold(
        &mut self,
        event: &V::Event,
        at: &ChangeAt,
        origin: &Origin<'_>,
        waits: &dyn Fn(Uuid) -> bool,
    ) -> Result<Option<Unfolded>, FoldError> {
        let Some((row, change)) = V::change(event) else { return Ok(None) };
        let begin = self.since.len();
        V::put_change(&change, &mut self.since).map_err(|error| {
            self.since.truncate(begin);
            ReadError::row(V::NAME, row)(error)
        })?;
        if waits(row) {
            return Ok(Some(Unfolded { row, change: self.since.split_off(begin), error: None }));
        }
        at.put(&mut self.since);
        self.begins.push((row, begin));
        self.fold_noted(row, change, at, origin)
    }

    fn fold_bytes(
        &mut self,
        row: Uuid,
        change: &[u8],
        at: &ChangeAt,
        origin: &Origin<'_>,
    ) -> Result<Option<Unfolded>, FoldError> {
        let decoded = V::read_change(change).map_err(ReadError::row(V::NAME, row))?;
        self.begins.push((row, self.since.len()));
        self.since.extend_from_slice(change);
        at.put(&mut self.since);
        self.fold_noted(row, decoded, at, origin)
    }

    fn undo(&mut self, at: &ChangeAt, origin: &Origin<'_>) {
        let last = self
            .begins
            .last()
            .filter(|(_, begin)| change::split(&self.since[*begin..]).is_ok_and(|(_, last)| last == *at));
        if let Some((row, begin)) = last.copied() {
            self.begins.pop();
            self.since.truncate(begin);
            // Else it is torn.
            let _restored = self.restore(row, origin);
        }
    }

    fn is_torn(&self) -> bool {
        self.torn
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
        self.since.clear();
        self.begins.clear();
        (self.changed_row_bytes, self.part_bytes) = (0, 0);
        Ok(())
    }

    fn forget(&mut self) {
        debug_assert!(self.changed.is_empty(), "a changed row would be lost");
        self.rows = HashMap::new();
        self.row_bytes = 0;
    }

    fn sizes(&self) -> Sizes {
        Sizes {
            changed: self.changed.len() + self.parts.len(),
            changed_bytes: self.changed_row_bytes + self.part_bytes,
            bytes: self.row_bytes + self.part_bytes + self.since.len() + size_of_val(&*self.begins),
        }
    }
}

impl<V: View> CachedTable<V> {
    fn fold_noted(
        &mut self,
        row: Uuid,
        change: V::Change,
        at: &ChangeAt,
        origin: &Origin<'_>,
    ) -> Result<Option<Unfolded>, FoldError> {
        let Err(error) = self.fold_change(row, change, at, origin) else { return Ok(None) };
        let noted = self.begins.pop().map(|(_, begin)| self.since.split_off(begin)).unwrap_or_default();
        self.restore(row, origin)?;
        match error {
            FoldError::Contradiction { .. } => {
                let (change, _) = change::split(&noted).map_err(ReadError::row(V::NAME, row))?;
                Ok(Some(Unfolded { row, change: change.to_vec(), error: Some(error) }))
            }
            FoldError::Read(_) => Err(error),
        }
    }

    fn fold_change(
        &mut self,
        key: Uuid,
        change: V::Change,
        at: &ChangeAt,
        origin: &Origin<'_>,
    ) -> Result<(), FoldError> {
        let entry = match self.rows.entry(key) {
            hash_map::Entry::Occupied(occupied) => occupied.into_mut(),
            hash_map::Entry::Vacant(vacant) => vacant.insert(load_entry::<V>(origin.stored, key)?),
        };
        let mut parts = Parts::new(origin.stored, &mut self.parts, V::ID, key);
        let meta = at.meta(&origin.sources[at.source as usize]);
        entry.row = V::fold(entry.row.take(), change, &meta, &mut parts)?;
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

    /// Makes a row and its parts again, from what is stored and what has changed since.
    fn restore(&mut self, key: Uuid, origin: &Origin<'_>) -> Result<(), FoldError> {
        self.torn = true;
        if let Some(entry) = self.rows.remove(&key) {
            self.row_bytes -= entry.bytes;
            if entry.changed {
                self.changed_row_bytes -= entry.bytes;
                self.changed.retain(|changed| *changed != key);
            }
        }
        self.parts.retain(|(row, _), _| *row != key);
        let ends = self.begins.iter().skip(1).map(|(_, begin)| *begin).chain([self.since.len()]);
        let of_row = self.begins.iter().zip(ends).filter(|((row, _), _)| *row == key);
        let changes: Vec<_> = of_row.map(|((_, begin), end)| self.since[*begin..end].to_vec()).collect();
        for noted in changes {
            let read = change::split(&noted).and_then(|(change, at)| Ok((V::read_change(change)?, at)));
            let (change, at) = read.map_err(ReadError::row(V::NAME, key))?;
            self.fold_change(key, change, &at, origin)?;
        }
        self.torn = false;
        Ok(())
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
