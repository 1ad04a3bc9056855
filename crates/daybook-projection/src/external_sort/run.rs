//! A run: changes sorted by key, in a file that is written once.
//!
//! One section per view; in it groups of one key's changes (key, length, checksum, then each change with its length), in the
//! order of the keys and of the log. Behind the sections a table says where each is, and where in it some of the keys are, so
//! that a part of the key space can be read by itself.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::sorter::{Entry, Sorter};
use crate::codec::{self, put_varint};
use crate::store::StoreError;

/// Bytes of a group beyond which a key's changes continue in another one: a reader holds a group in memory.
const GROUP_BYTES_MAX: usize = 64 << 10;
/// More than any group has. The last change of one may go beyond [`GROUP_BYTES_MAX`] by itself; no topic takes records of this
/// size.
pub(super) const GROUP_READ_BYTES_MAX: usize = GROUP_BYTES_MAX + (128 << 20);
/// Bytes of a section between two keys of its table.
const TABLE_EVERY_BYTES: u64 = 128 << 10;
const WRITE_BUFFER_BYTES: usize = 1 << 20;
/// Last bytes of every run: what it is.
const MARK: &[u8; 4] = b"run3";
/// Length of the table, its checksum, then the mark.
const TAIL_BYTES: usize = size_of::<u64>() + size_of::<u32>() + MARK.len();

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Section {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) changes: u64,
    /// Some keys, and where the group lies in which each begins.
    pub(super) table: Vec<(u128, u64)>,
}

#[derive(Debug)]
pub(crate) struct Run {
    pub(super) file: File,
    pub(super) sections: Vec<Section>,
}

impl Run {
    /// Writes all changes of `sorter`, which is empty afterwards. Nothing is synced.
    pub(crate) fn write(path: &Path, sorter: &mut Sorter) -> Result<File, StoreError> {
        sorter.sort();
        let written = write(path, sorter);
        sorter.clear();
        written.map_err(|error| StoreError::new("write", path, error))
    }

    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|error| StoreError::of_file("open", path, &error))?;
        let table = read_table(&file).map_err(|error| StoreError::of_file("read", path, &error))?;
        let sections = codec::read(&table).map_err(|error| StoreError::damaged("read", path, error))?;
        Ok(Self { file, sections })
    }

    pub(crate) fn changes(&self) -> u64 {
        self.sections.iter().map(|section| section.changes).sum()
    }
}

fn write(path: &Path, sorter: &Sorter) -> io::Result<File> {
    let mut writer = RunWriter::create(path)?;
    let mut group = Vec::new();
    for mut entries in sorter.views() {
        let mut section = writer.begin();
        section.changes = entries.len() as u64;
        while let Some(first) = entries.first() {
            let (together, rest) = entries.split_at(group_length(entries));
            group.clear();
            for record in together.iter().map(|entry| sorter.record(entry)) {
                put_varint(&mut group, record.len() as u64);
                group.extend_from_slice(record);
            }
            writer.group(&mut section, first.key(), &group)?;
            entries = rest;
        }
        writer.end(section);
    }
    writer.finish()
}

pub(super) struct RunWriter {
    to: BufWriter<File>,
    at: u64,
    table_at: u64,
    sections: Vec<Section>,
}

impl RunWriter {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let to = BufWriter::with_capacity(WRITE_BUFFER_BYTES, File::create(path)?);
        Ok(Self { to, at: 0, table_at: 0, sections: Vec::new() })
    }

    pub(super) fn begin(&mut self) -> Section {
        self.table_at = self.at;
        Section { start: self.at, ..Section::default() }
    }

    pub(super) fn group(&mut self, section: &mut Section, key: u128, group: &[u8]) -> io::Result<()> {
        if self.at >= self.table_at {
            section.table.push((key, self.at));
            self.table_at = self.at + TABLE_EVERY_BYTES;
        }
        let length = (group.len() as u32).to_le_bytes();
        let head = [&key.to_be_bytes()[..], &length].concat();
        let sum = checksum(&head, group).to_le_bytes();
        for bytes in [&head[..], &sum, group] {
            self.to.write_all(bytes)?;
            self.at += bytes.len() as u64;
        }
        Ok(())
    }

    pub(super) fn end(&mut self, section: Section) {
        self.sections.push(Section { end: self.at, ..section });
    }

    pub(super) fn finish(mut self) -> io::Result<File> {
        let mut table = Vec::new();
        codec::put(&self.sections, &mut table).map_err(io::Error::other)?;
        let (table_bytes, sum) = (table.len() as u64, checksum(&table, &[]));
        self.to.write_all(&table)?;
        self.to.write_all(&table_bytes.to_le_bytes())?;
        self.to.write_all(&sum.to_le_bytes())?;
        self.to.write_all(MARK)?;
        self.to.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

/// Of the head of a group and its changes, or of a table: a flipped bit would become a wrong row.
pub(super) fn checksum(head: &[u8], rest: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(head), rest)
}

/// How many of the first entries are one group.
fn group_length(entries: &[Entry]) -> usize {
    let Some(first) = entries.first() else { return 0 };
    let mut bytes = 0;
    let within = |entry: &&Entry| {
        let fits = entry.key() == first.key() && bytes < GROUP_BYTES_MAX;
        bytes += entry.bytes();
        fits
    };
    entries.iter().take_while(within).count()
}

fn read_table(file: &File) -> io::Result<Vec<u8>> {
    let damaged =
        |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("the run is damaged: {what}"));
    let length = file.metadata()?.len();
    let tail_at = length.checked_sub(TAIL_BYTES as u64).ok_or_else(|| damaged("it is cut off"))?;
    let mut tail = [0; TAIL_BYTES];
    file.read_exact_at(&mut tail, tail_at)?;
    let (table_bytes, rest) = tail.split_at(size_of::<u64>());
    let (sum, mark) = rest.split_at(size_of::<u32>());
    if mark != MARK {
        return Err(damaged("it has no end mark"));
    }
    let table_bytes = u64::from_le_bytes(table_bytes.try_into().map_err(|_| damaged("its table"))?);
    let table_at = tail_at.checked_sub(table_bytes).ok_or_else(|| damaged("its table is too long"))?;
    let mut table = vec![0; (tail_at - table_at) as usize];
    file.read_exact_at(&mut table, table_at)?;
    if checksum(&table, &[]).to_le_bytes() != sum {
        return Err(damaged("its table is not what was written"));
    }
    Ok(table)
}

/// For `fuzz_checks`: whether these are a run's table, which is then the same when it is written and read again.
#[cfg(any(test, fuzzing))]
pub(crate) fn is_a_run_table(bytes: &[u8]) -> bool {
    let Ok(sections) = codec::read::<Vec<Section>>(bytes) else { return false };
    let mut written = Vec::new();
    assert_eq!(codec::put(&sections, &mut written), Ok(()));
    assert_eq!(codec::read(&written), Ok(sections));
    true
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{CollectChange, Merge, Unit};
    use super::*;
    use crate::change::ChangeAt;

    type Found = Vec<(usize, u128, Vec<u8>)>;

    /// Everything that a merge reads of it.
    fn found(path: &Path) -> Result<Found, StoreError> {
        let run = Arc::new(Run::open(path)?);
        let mut found = Vec::new();
        for view in 0..run.sections.len() {
            let unit = Unit { view, from: 0, to: None };
            let unreadable = |error: io::Error| StoreError::new("read", path, error);
            let mut merge = Merge::open(std::slice::from_ref(&run), &unit, 64).map_err(unreadable)?;
            while let Some((key, group)) = merge.next_group().map_err(unreadable)? {
                found.push((view, key, group.to_vec()));
            }
        }
        Ok(found)
    }

    #[test]
    fn no_flipped_bit_of_a_run_goes_unnoticed() {
        let collectors: [(u8, CollectChange<u8>); 2] = [
            (1, |event, to| {
                to.extend_from_slice(&[*event; 3]);
                Ok(Some(uuid::Uuid::from_u128(u128::from(event % 5))))
            }),
            (2, |event, to| {
                to.push(*event);
                Ok((event % 2 == 0).then(|| uuid::Uuid::from_u128(u128::from(*event) << 64)))
            }),
        ];
        let mut sorter = Sorter::new(collectors.len(), 1 << 20);
        for event in 0..12 {
            let at = ChangeAt { source: 1, offset: event.into(), position: event.into(), time_us: 7 };
            sorter.collect(&collectors, &event, &at, &[]).unwrap();
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("000001.run");
        drop(Run::write(&path, &mut sorter).unwrap());
        let (whole, expected) = (std::fs::read(&path).unwrap(), found(&path).unwrap());
        assert_eq!(expected.len(), 5 + 6);
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            std::fs::write(&path, flipped).unwrap();
            if let Ok(found) = found(&path) {
                assert_eq!(found, expected, "byte {at} of {}", whole.len());
            }
        }
        // A length is checked before that much is read.
        let mut longer = whole.clone();
        longer[size_of::<u128>() + 3] ^= 0x80;
        std::fs::write(&path, longer).unwrap();
        let error = found(&path).unwrap_err().to_string();
        assert!(error.contains("longer than any group"), "{error}");
    }
}
