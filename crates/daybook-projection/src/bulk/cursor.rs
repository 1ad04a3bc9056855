//! Reads one section of a run, group by group.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::Run;
use super::run::{GROUP_READ_BYTES_MAX, checksum};

const KEY_BYTES: usize = size_of::<u128>();
/// Key and length, which the checksum behind them covers, too.
const SUMMED_BYTES: usize = KEY_BYTES + size_of::<u32>();
const HEAD_BYTES: usize = SUMMED_BYTES + size_of::<u32>();

/// A place in one section of a run.
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
