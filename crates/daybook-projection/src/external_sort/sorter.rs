//! Changes in memory until there are enough for a run.

use uuid::Uuid;

use crate::change::ChangeAt;
use crate::codec::RowError;

/// Appends what of an event matters to one view, and gives the key of its row; appends nothing if nothing does.
pub(crate) type CollectChange<E> = fn(&E, &mut Vec<u8>) -> Result<Option<Uuid>, RowError>;

/// A change in the arena. Ordered by key, then by arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    // Two halves, because a u128 would be aligned to 16 bytes and make an entry a third larger.
    key_high: u64,
    key_low: u64,
    at: u32,
    bytes: u32,
}

impl Entry {
    pub(super) fn bytes(&self) -> usize {
        self.bytes as usize
    }

    pub(super) fn key(&self) -> u128 {
        u128::from(self.key_high) << 64 | u128::from(self.key_low)
    }
}

/// A bounded buffer of changes, by view.
#[derive(Debug)]
pub(crate) struct Sorter {
    arena: Vec<u8>,
    views: Vec<Vec<Entry>>,
    bytes_max: usize,
}

/// What one buffer can address, less room for one more record.
const ARENA_BYTES_MAX: usize = (u32::MAX as usize) - (64 << 20);

impl Sorter {
    pub(crate) fn new(views: usize, bytes_max: usize) -> Self {
        Self { arena: Vec::new(), views: vec![Vec::new(); views], bytes_max }
    }

    /// Takes what each view wants of one event, but for those that leave it out; after an error, nothing of it.
    pub(crate) fn collect<E>(
        &mut self,
        collectors: &[(u8, CollectChange<E>)],
        event: &E,
        at: &ChangeAt,
        left_out: &[u8],
    ) -> Result<(), RowError> {
        let before = self.arena.len();
        let collected = self.collect_each(collectors, event, at, left_out);
        if collected.is_err() {
            self.arena.truncate(before);
            for entries in &mut self.views {
                entries.retain(|entry| (entry.at as usize) < before);
            }
        }
        collected
    }

    fn collect_each<E>(
        &mut self,
        collectors: &[(u8, CollectChange<E>)],
        event: &E,
        at: &ChangeAt,
        left_out: &[u8],
    ) -> Result<(), RowError> {
        for ((view, collect_change), entries) in collectors.iter().zip(&mut self.views) {
            if left_out.contains(view) {
                continue;
            }
            let start = self.arena.len();
            let Some(key) = collect_change(event, &mut self.arena)? else { continue };
            at.put(&mut self.arena);
            let (key_high, key_low) = key.as_u64_pair();
            // Within four gigabytes: see `is_full`.
            let (at, bytes) = (start as u32, (self.arena.len() - start) as u32);
            entries.push(Entry { key_high, key_low, at, bytes });
        }
        Ok(())
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes() >= self.bytes_max || self.arena.len() > ARENA_BYTES_MAX
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.arena.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.arena.len() + self.views.iter().map(|entries| entries.len() * size_of::<Entry>()).sum::<usize>()
    }

    pub(super) fn sort(&mut self) {
        self.views.iter_mut().for_each(|entries| entries.sort_unstable());
    }

    pub(super) fn views(&self) -> impl Iterator<Item = &[Entry]> {
        self.views.iter().map(Vec::as_slice)
    }

    pub(super) fn record(&self, entry: &Entry) -> &[u8] {
        &self.arena[entry.at as usize..][..entry.bytes as usize]
    }

    /// Empties it, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.arena.clear();
        self.views.iter_mut().for_each(Vec::clear);
    }
}
