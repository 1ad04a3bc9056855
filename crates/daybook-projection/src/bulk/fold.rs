//! Folds all changes of one key, then hands its row on.

use uuid::Uuid;

use super::BlockWriter;
use crate::change::{self, ChangeAt};
use crate::checkpoint::SourceId;
use crate::codec::{RowError, RowReader};
use crate::quarantine::Parking;
use crate::stop::StopReason;
use crate::store::StoreError;
use crate::view::{FoldError, Parts, UnsavedParts, View};

/// Bytes of parts of one row that are held in memory.
const PART_BYTES_MAX: usize = 4 << 20;

/// Why changes were not folded.
#[derive(Debug)]
pub(crate) enum ChangeError {
    /// This one contradicts the row, or the row cannot be read: the row is to be begun anew, or given up.
    Fold(ChangeAt, FoldError),
    /// One that is to wait may not.
    Stopped(StopReason),
    /// Parts cannot be written.
    Store(StoreError),
    /// The run is damaged.
    Damaged(RowError),
}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<RowError> for ChangeError {
    fn from(error: RowError) -> Self {
        Self::Damaged(error)
    }
}

/// Which changes of the row at work wait: in some partitions all from the one on that contradicts it. A fold that fails has lost its
/// row, so the row is begun anew from the runs, knowing that.
pub(crate) struct Kept<'k> {
    view: u8,
    sources: &'k [SourceId],
    parking: &'k mut Parking,
    /// The first change of each, and why it waits.
    first: Vec<(ChangeAt, StopReason)>,
    /// What was parked before this row.
    parked_before: usize,
}

impl<'k> Kept<'k> {
    pub(crate) fn new(view: u8, sources: &'k [SourceId], parking: &'k mut Parking) -> Self {
        Self { view, sources, parking, first: Vec::new(), parked_before: 0 }
    }

    pub(crate) fn begin_row(&mut self) {
        self.first.clear();
        (self.parked_before, _) = self.parking.uncommitted();
    }

    /// The same row anew, of which this change and all behind it wait.
    pub(crate) fn begin_again(&mut self, first: ChangeAt, reason: StopReason) {
        self.first.push((first, reason));
        self.parking.back_to(self.parked_before);
    }

    /// Parks a change, if it is to wait.
    fn keeps(
        &mut self,
        source: &SourceId,
        row: Uuid,
        at: &ChangeAt,
        change: &[u8],
    ) -> Result<bool, StopReason> {
        let waits = |(first, _): &&(ChangeAt, _)| first.source == at.source && first.position <= at.position;
        let Some((first, reason)) = self.first.iter().find(waits) else { return Ok(false) };
        let reason = (first == at).then(|| reason.clone());
        self.parking.park_change(source, at, (self.view, row), change, None, reason)?;
        Ok(true)
    }
}

/// The fold of one key after the other, whatever the view.
pub(crate) trait KeyFold: Send {
    /// Folds a group of changes of `key`, and counts them, those that wait too; all groups of a key come before [`KeyFold::finish`].
    fn fold(
        &mut self,
        key: Uuid,
        group: &[u8],
        kept: &mut Kept<'_>,
        to: &mut BlockWriter<'_>,
    ) -> Result<u64, ChangeError>;

    /// Begins the row anew, after an error.
    fn begin_again(&mut self, to: &mut BlockWriter<'_>);

    /// Writes the row, and begins the next one.
    fn finish(&mut self, key: Uuid, to: &mut BlockWriter<'_>) -> Result<(), StoreError>;
}

pub(crate) struct ViewFold<V: View> {
    row: Option<V::Row>,
    parts: UnsavedParts,
    part_bytes: usize,
    encoded: Vec<u8>,
}

impl<V: View> Default for ViewFold<V> {
    fn default() -> Self {
        Self { row: None, parts: UnsavedParts::new(), part_bytes: 0, encoded: Vec::new() }
    }
}

impl<V: View> KeyFold for ViewFold<V> {
    fn fold(
        &mut self,
        key: Uuid,
        group: &[u8],
        kept: &mut Kept<'_>,
        to: &mut BlockWriter<'_>,
    ) -> Result<u64, ChangeError> {
        let mut reader = RowReader::new(group);
        let mut changes = 0;
        while !reader.is_at_end() {
            let length = reader.number("length")?;
            let (bytes, at) = change::split(reader.take(length, "change")?)?;
            changes += 1;
            let sources = kept.sources;
            let source = sources.get(at.source as usize).ok_or(RowError::CutOff { field: "source" })?;
            if !kept.first.is_empty() && kept.keeps(source, key, &at, bytes).map_err(ChangeError::Stopped)? {
                continue;
            }
            let mut parts = Parts::new(to, &mut self.parts, V::ID, key);
            let folded = V::fold(self.row.take(), V::read_change(bytes)?, &at.meta(source), &mut parts);
            self.part_bytes += parts.bytes_written();
            self.row = folded.map_err(|error| ChangeError::Fold(at, error))?;
        }
        if self.part_bytes > PART_BYTES_MAX {
            self.write_parts(to, |to, key, number, part| to.loose_part(key, number, part))?;
        }
        Ok(changes)
    }

    fn begin_again(&mut self, to: &mut BlockWriter<'_>) {
        self.row = None;
        self.parts.clear();
        self.part_bytes = 0;
        to.begin_again();
    }

    fn finish(&mut self, key: Uuid, to: &mut BlockWriter<'_>) -> Result<(), StoreError> {
        if let Some(row) = self.row.take() {
            self.encoded.clear();
            let written = V::encode(&row, &mut self.encoded);
            written.map_err(|error| to.generation.unwritable(V::NAME, key, &error))?;
            to.row(key, &self.encoded)?;
        }
        self.write_parts(to, |to, key, number, part| to.part(key, number, part))?;
        to.row_is_complete();
        Ok(())
    }
}

impl<V: View> ViewFold<V> {
    fn write_parts<'g>(
        &mut self,
        to: &mut BlockWriter<'g>,
        write: impl Fn(&mut BlockWriter<'g>, Uuid, u32, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for ((key, number), part) in std::mem::take(&mut self.parts) {
            write(to, key, number, &part)?;
        }
        self.part_bytes = 0;
        Ok(())
    }
}
