//! Merges the runs of one unit: every key's changes, in the order of the log.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use crate::external_sort::Run;
use crate::external_sort::run::{GROUP_READ_BYTES_MAX, RunWriter, Section, checksum};
use crate::store::StoreError;

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

const KEY_BYTES: usize = size_of::<u128>();
/// Key and length, which the checksum behind them covers, too.
const SUMMED_BYTES: usize = KEY_BYTES + size_of::<u32>();
const HEAD_BYTES: usize = SUMMED_BYTES + size_of::<u32>();

pub(super) struct Cursor {
    run: Arc<Run>,
    /// Where in the file the bytes after the buffer's lie.
    file_at: u64,
    file_end: u64,
    buffer: Vec<u8>,
    /// Where in the buffer the next group begins.
    at: usize,
    read_bytes: usize,
    key: u128,
    group: Range<usize>,
}

impl Cursor {
    /// Before the first group of view number `view` whose key is at least `from`.
    pub(super) fn open(run: &Arc<Run>, view: usize, from: u128, read_bytes: usize) -> io::Result<Self> {
        let (start, end) = run.sections.get(view).map_or((0, 0), |section| {
            // A key's groups may begin before the table's entry for it.
            let before = section.table.partition_point(|(key, _)| *key < from);
            let start = before.checked_sub(1).map_or(section.start, |index| section.table[index].1);
            (start, section.end)
        });
        let mut cursor = Self {
            run: run.clone(),
            file_at: start,
            file_end: end,
            buffer: Vec::new(),
            at: 0,
            read_bytes,
            key: 0,
            group: 0..0,
        };
        while cursor.advance()? && cursor.key < from {}
        Ok(cursor)
    }

    /// Goes to the next group; `false` at the end.
    pub(super) fn advance(&mut self) -> io::Result<bool> {
        self.at = self.group.end;
        if !self.want(HEAD_BYTES)? {
            self.group = self.at..self.at;
            return Ok(false);
        }
        let head = &self.buffer[self.at..self.at + HEAD_BYTES];
        let (key, rest) = head.split_at(KEY_BYTES);
        let (length, sum) = rest.split_at(size_of::<u32>());
        let damaged = |what: &str| {
            io::Error::new(io::ErrorKind::InvalidData, format!("the run is damaged: a group {what}"))
        };
        let cut_off = |_| damaged("is cut off");
        self.key = u128::from_be_bytes(key.try_into().map_err(cut_off)?);
        let length = u32::from_le_bytes(length.try_into().map_err(cut_off)?) as usize;
        let sum = u32::from_le_bytes(sum.try_into().map_err(cut_off)?);
        // Before so much is read into memory.
        if length > GROUP_READ_BYTES_MAX {
            return Err(damaged("is longer than any group is"));
        }
        if !self.want(HEAD_BYTES + length)? {
            return Err(damaged("is cut off"));
        }
        let (head, start) = (&self.buffer[self.at..self.at + SUMMED_BYTES], self.at + HEAD_BYTES);
        if checksum(head, &self.buffer[start..start + length]) != sum {
            return Err(damaged("is not what was written"));
        }
        self.group = start..start + length;
        Ok(true)
    }

    /// Key of the group; `None` at the end.
    pub(super) fn key(&self) -> Option<u128> {
        (!self.group.is_empty()).then_some(self.key)
    }

    pub(super) fn group(&self) -> &[u8] {
        &self.buffer[self.group.clone()]
    }

    /// Sees to it that so many bytes from `at` on are in the buffer; `false` if there are fewer.
    fn want(&mut self, bytes: usize) -> io::Result<bool> {
        let held = self.buffer.len() - self.at;
        if held >= bytes {
            return Ok(true);
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        let left = self.file_end - self.file_at;
        let read = left.min((bytes - held).max(self.read_bytes) as u64) as usize;
        self.buffer.resize(held + read, 0);
        self.run.file.read_exact_at(&mut self.buffer[held..], self.file_at)?;
        self.file_at += read as u64;
        Ok(self.buffer.len() >= bytes)
    }
}

/// Most runs that are merged at once: each is an open file and a buffer for every thread.
pub(crate) const RUNS_MERGED_MAX: usize = 128;
/// Bytes read of a run at once.
const READ_BYTES: usize = 128 << 10;

impl Run {
    /// Writes a run with all changes of `runs`, which follow one another. Nothing is synced.
    pub(crate) fn merge(path: &Path, runs: &[Arc<Self>]) -> Result<File, StoreError> {
        merge(path, runs).map_err(|error| StoreError::of_file("write", path, &error))
    }
}

fn merge(path: &Path, runs: &[Arc<Run>]) -> io::Result<File> {
    let views = runs.iter().map(|run| run.sections.len()).max().unwrap_or(0);
    let mut writer = RunWriter::create(path)?;
    for view in 0..views {
        let mut groups = Merge::open(runs, &Unit { view, from: 0, to: None }, READ_BYTES)?;
        let mut section = writer.begin();
        while let Some((key, group)) = groups.next_group()? {
            writer.group(&mut section, key, group)?;
        }
        let changes = |run: &Arc<Run>| run.sections.get(view).map_or(0, |section: &Section| section.changes);
        section.changes = runs.iter().map(changes).sum();
        writer.end(section);
    }
    writer.finish()
}

/// Bytes of changes in a unit: what a resumed build may have to write again, for each thread.
const UNIT_BYTES: u64 = 32 << 20;

/// The keys of one view from `from` on, up to and without `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Index of the view, in the order of the projection.
    pub(crate) view: usize,
    pub(crate) from: u128,
    pub(crate) to: Option<u128>,
}

/// Divides all keys of `runs` into units, in ascending order.
pub(crate) fn plan(runs: &[Arc<Run>], views: usize) -> Vec<Unit> {
    (0..views).flat_map(|view| plan_view(runs, view)).collect()
}

fn plan_view(runs: &[Arc<Run>], view: usize) -> Vec<Unit> {
    let sections = || runs.iter().filter_map(|run| run.sections.get(view));
    let bytes: u64 = sections().map(|section| section.end - section.start).sum();
    if bytes == 0 {
        return Vec::new();
    }
    // The tables' keys stand for about equally many bytes each.
    let mut keys: Vec<u128> =
        sections().flat_map(|section| section.table.iter().map(|(key, _)| *key)).collect();
    keys.sort_unstable();
    let units = bytes.div_ceil(UNIT_BYTES) as usize;
    let mut borders: Vec<u128> = (1..units).map(|unit| keys[unit * keys.len() / units]).collect();
    borders.dedup();
    borders.retain(|border| *border > 0);
    let from = std::iter::once(0).chain(borders.iter().copied());
    let to = borders.iter().copied().map(Some).chain(std::iter::once(None));
    from.zip(to).map(|(from, to)| Unit { view, from, to }).collect()
}
