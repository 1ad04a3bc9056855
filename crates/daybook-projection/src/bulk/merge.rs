//! Merges the runs of one unit: every key's changes, in the order of the log.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io;
use std::sync::Arc;

use super::cursor::Cursor;
use super::{Run, Unit};

/// All groups of one unit in the order of their keys; of one key, in the order of the runs.
///
/// A partition's changes are in the order of the log within a run and over the runs, because one thread reads it and
/// writes its runs one after the other. How partitions interleave must not matter to a view.
pub(crate) struct Merge {
    cursors: Vec<Cursor>,
    /// Key of every cursor that is not at its end, and its index.
    next: BinaryHeap<Reverse<(u128, usize)>>,
    to: Option<u128>,
    begun: bool,
}

impl Merge {
    /// Over all `runs`, reading `read_bytes` of each at a time.
    pub(crate) fn open(runs: &[Arc<Run>], unit: &Unit, read_bytes: usize) -> io::Result<Self> {
        let open = |run| Cursor::open(run, unit.view, unit.from, read_bytes);
        let cursors: Vec<Cursor> = runs.iter().map(open).collect::<Result<_, _>>()?;
        let keys = cursors.iter().enumerate();
        let next = keys.filter_map(|(index, cursor)| Some(Reverse((cursor.key()?, index)))).collect();
        Ok(Self { cursors, next, to: unit.to, begun: false })
    }

    /// The next group: its key, and the changes with their lengths.
    pub(crate) fn next_group(&mut self) -> io::Result<Option<(u128, &[u8])>> {
        if self.begun
            && let Some(mut top) = self.next.peek_mut()
        {
            let Reverse((_, index)) = *top;
            let cursor = &mut self.cursors[index];
            cursor.advance()?;
            match cursor.key() {
                Some(key) => *top = Reverse((key, index)),
                None => drop(PeekMut::pop(top)),
            }
        }
        self.begun = true;
        let Some(Reverse((key, index))) = self.next.peek() else { return Ok(None) };
        if self.to.is_some_and(|to| *key >= to) {
            return Ok(None);
        }
        Ok(Some((*key, self.cursors[*index].group())))
    }
}
