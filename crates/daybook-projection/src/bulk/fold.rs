//! Folds all changes of one key, then hands its row on.

use uuid::Uuid;

use super::{BlockWriter, ChangeAt, change};
use crate::checkpoint::SourceId;
use crate::codec::{RowError, RowReader};
use crate::store::StoreError;
use crate::view::{EventMeta, FoldError, Parts, UnsavedParts, View};

/// Bytes of parts of one row that are held in memory.
const PART_BYTES_MAX: usize = 4 << 20;

/// Why changes were not folded.
#[derive(Debug)]
pub(crate) enum ChangeError {
    /// One of them contradicts the row.
    Fold(ChangeAt, FoldError),
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

/// The fold of one key after the other, whatever the view.
pub(crate) trait KeyFold: Send {
    /// Folds a group of changes of `key`, and counts them; all groups of a key come before [`KeyFold::finish`].
    fn fold(
        &mut self,
        key: Uuid,
        group: &[u8],
        sources: &[SourceId],
        to: &mut BlockWriter<'_>,
    ) -> Result<u64, ChangeError>;

    /// Writes the row, and begins anew.
    fn finish(&mut self, key: Uuid, to: &mut BlockWriter<'_>) -> Result<(), StoreError>;
}

/// The fold of one view.
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
        sources: &[SourceId],
        to: &mut BlockWriter<'_>,
    ) -> Result<u64, ChangeError> {
        let mut reader = RowReader::new(group);
        let mut changes = 0;
        while !reader.is_at_end() {
            let length = reader.number("length")?;
            let (bytes, at) = change::split(reader.take(length, "change")?)?;
            let source = sources.get(at.source as usize).ok_or(RowError::CutOff { field: "source" })?;
            let meta = EventMeta {
                topic: &source.topic,
                partition: source.partition,
                position: at.position,
                time_us: at.time_us,
            };
            let mut parts = Parts::new(to.generation, &mut self.parts, V::ID, key);
            let folded = V::fold(self.row.take(), V::read_change(bytes)?, &meta, &mut parts);
            self.part_bytes += parts.bytes_written();
            self.row = folded.map_err(|error| ChangeError::Fold(at, error))?;
            changes += 1;
        }
        if self.part_bytes > PART_BYTES_MAX {
            self.write_parts(to, |to, key, number, part| to.loose_part(key, number, part))?;
        }
        Ok(changes)
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
