//! Records that wait, while a generation is being built: in files beside the runs, until its rows are there.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::codec::{RowReader, put_varint};
use crate::external_sort::Journal;
use crate::quarantine::ParkedRecord;
use crate::store::StoreError;

pub(super) const PARKED_SUFFIX: &str = ".parked";

/// A file that is written and not yet durable.
pub(super) struct ParkedFile {
    file: File,
    path: PathBuf,
}

impl ParkedFile {
    /// Writes the records that belong to a run; none if there are none.
    pub(super) fn write(run: &Path, records: &[ParkedRecord]) -> Result<Option<Self>, StoreError> {
        if records.is_empty() {
            return Ok(None);
        }
        let path = run.with_extension(&PARKED_SUFFIX[1..]);
        let mut bytes = Vec::new();
        for record in records {
            let record = record.encode().map_err(|error| StoreError::new("write", &path, error))?;
            put_varint(&mut bytes, record.len() as u64);
            bytes.extend_from_slice(&record);
        }
        let written = File::create(&path).and_then(|mut file| file.write_all(&bytes).map(|()| file));
        let file = written.map_err(|error| StoreError::new("write", &path, error))?;
        Ok(Some(Self { file, path }))
    }

    /// Waits until it is durable; returns how the journal names it.
    pub(super) fn sync(&self) -> Result<String, StoreError> {
        self.file.sync_all().map_err(|error| StoreError::new("sync", &self.path, error))?;
        Ok(super::work::run_name(&self.path))
    }
}

pub(super) fn read(build: &Path, journal: &Journal) -> Result<Vec<ParkedRecord>, StoreError> {
    let mut records = Vec::new();
    for name in &journal.parked {
        let path = build.join(name);
        let bytes = fs::read(&path).map_err(|error| StoreError::of_file("read", &path, &error))?;
        let mut reader = RowReader::new(&bytes);
        while !reader.is_at_end() {
            let record = reader.number("length").and_then(|length| reader.take(length, "record"));
            let record = record.and_then(ParkedRecord::decode);
            records.push(record.map_err(|error| StoreError::damaged("read", &path, error))?);
        }
    }
    Ok(records)
}
