//! Folds all changes of one key, and packs its row and parts into blocks, in ascending order.

use std::collections::BTreeMap;

use daybook_store::{Digest, RowHash};
use uuid::Uuid;

use crate::block::BlockBuilder;
use crate::change::{self, ChangeAt};
use crate::checkpoint::SourceId;
use crate::codec::{RowError, RowReader};
use crate::generation::Generation;
use crate::keys::RowKey;
use crate::quarantine::Parking;
use crate::stop::StopReason;
use crate::store::StoreError;
use crate::view::{FoldError, PartStore, Parts, UncommittedParts, View};

/// Bytes of parts of one row that are held in memory.
const PART_BYTES_MAX: usize = 4 << 20;

#[derive(Debug)]
pub(crate) enum ChangeError {
    /// This one contradicts the row, or the row cannot be read: the row is to be folded again, or given up.
    Fold(ChangeAt, FoldError),
    /// One that is to wait may not.
    Stopped(StopReason),
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
/// row, so the row is folded again from the runs, knowing that.
pub(crate) struct RowParking<'k> {
    view: u8,
    sources: &'k [SourceId],
    parking: &'k mut Parking,
    /// The first change of each, and why it waits.
    first: Vec<(ChangeAt, StopReason)>,
    /// What was parked before this row.
    parked_before: usize,
}

impl<'k> RowParking<'k> {
    pub(crate) fn new(view: u8, sources: &'k [SourceId], parking: &'k mut Parking) -> Self {
        Self { view, sources, parking, first: Vec::new(), parked_before: 0 }
    }

    pub(crate) fn begin_row(&mut self) {
        self.first.clear();
        (self.parked_before, _) = self.parking.uncommitted();
    }

    /// The same row from its first change, of which this change and all behind it wait.
    pub(crate) fn begin_again(&mut self, first: ChangeAt, reason: StopReason) {
        self.first.push((first, reason));
        self.parking.back_to(self.parked_before);
    }

    /// Parks a change, if it is to wait.
    fn parks(
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
        row_parking: &mut RowParking<'_>,
        to: &mut BlockWriter<'_>,
    ) -> Result<u64, ChangeError>;

    /// Starts the row again, after an error.
    fn begin_again(&mut self, to: &mut BlockWriter<'_>);

    /// Writes the row, and begins the next one.
    fn finish(&mut self, key: Uuid, to: &mut BlockWriter<'_>) -> Result<(), StoreError>;
}

pub(crate) struct ViewFold<V: View> {
    row: Option<V::Row>,
    parts: UncommittedParts,
    part_bytes: usize,
    encoded: Vec<u8>,
}

impl<V: View> Default for ViewFold<V> {
    fn default() -> Self {
        Self { row: None, parts: UncommittedParts::new(), part_bytes: 0, encoded: Vec::new() }
    }
}

impl<V: View> KeyFold for ViewFold<V> {
    fn fold(
        &mut self,
        key: Uuid,
        group: &[u8],
        row_parking: &mut RowParking<'_>,
        to: &mut BlockWriter<'_>,
    ) -> Result<u64, ChangeError> {
        let mut reader = RowReader::new(group);
        let mut changes = 0;
        while !reader.is_at_end() {
            let length = reader.number("length")?;
            let (bytes, at) = change::split(reader.take(length, "change")?)?;
            changes += 1;
            let sources = row_parking.sources;
            let source = sources.get(at.source as usize).ok_or(RowError::CutOff { field: "source" })?;
            if !row_parking.first.is_empty()
                && row_parking.parks(source, key, &at, bytes).map_err(ChangeError::Stopped)?
            {
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

/// Bytes at which a block is closed. A reader that misses sled's cache reads all of it; each one costs nine entries.
/// A resumed build must come to the same blocks: a change of this counts up the version of the store.
const BLOCK_BYTES: usize = 32 << 10;
/// Blocks that are written together; they wait in memory. They fill a segment of sled's: with more, the entries that
/// prepare for them fill segments of which little stays, and sled moves that elsewhere.
const BLOCKS_TOGETHER: usize = 32;

/// A fold reads what it has written itself: what else lies there was left by a build that was killed, or by a fold that failed.
impl PartStore for BlockWriter<'_> {
    fn part(&self, view: u8, key: Uuid, number: u32) -> Result<Option<Vec<u8>>, StoreError> {
        match self.loose.get(&number) {
            Some(Some(_)) => PartStore::part(self.generation, view, key, number),
            _ => Ok(None),
        }
    }
}

/// Writes the rows of one view's keys.
pub(crate) struct BlockWriter<'g> {
    pub(super) generation: &'g Generation,
    view: u8,
    block: BlockBuilder,
    /// Blocks that are complete, with the last key in each.
    complete: Vec<(RowKey, Vec<u8>)>,
    last_key: RowKey,
    digest: Digest,
    /// Parts that were written by themselves, of the row at work, with their hashes; none of what was written before it was started again.
    loose: BTreeMap<u32, Option<RowHash>>,
}

impl<'g> BlockWriter<'g> {
    /// For rows whose keys are at least `from`. Rows before it may be written at the same time.
    pub(crate) fn new(generation: &'g Generation, view: u8, from: Uuid) -> Result<Self, StoreError> {
        let last_key = RowKey::last_before(view, from);
        generation.put_fence(&last_key)?;
        let (block, digest, loose) = (BlockBuilder::default(), Digest::default(), BTreeMap::new());
        Ok(Self { generation, view, block, complete: Vec::new(), last_key, digest, loose })
    }

    /// Appends a row. Its parts follow, then the next row.
    pub(super) fn row(&mut self, key: Uuid, value: &[u8]) -> Result<(), StoreError> {
        self.push(RowKey::row(self.view, key), value)
    }

    /// Appends a part, or writes it again by itself if it was.
    pub(super) fn part(&mut self, key: Uuid, number: u32, value: &[u8]) -> Result<(), StoreError> {
        if self.loose.contains_key(&number) {
            return self.loose_part(key, number, value);
        }
        self.push(RowKey::part(self.view, key, number), value)
    }

    /// Writes a part by itself: of a row whose changes are not yet all folded, and which has too many parts to wait.
    pub(super) fn loose_part(&mut self, key: Uuid, number: u32, value: &[u8]) -> Result<(), StoreError> {
        let key = RowKey::part(self.view, key, number);
        self.generation.put_loose(&key, value)?;
        let hash = RowHash::of(key.bytes(), value);
        self.digest.add(hash);
        if let Some(Some(replaced)) = self.loose.insert(number, Some(hash)) {
            self.digest.remove(replaced);
        }
        Ok(())
    }

    /// The row and its parts are all there.
    pub(super) fn row_is_complete(&mut self) {
        debug_assert!(self.loose.values().all(Option::is_some), "a fold wrote other parts the second time");
        self.loose.clear();
    }

    /// The row is folded again: nothing of it counts, and what was written of it is written again.
    pub(super) fn begin_again(&mut self) {
        for hash in self.loose.values_mut().filter_map(Option::take) {
            self.digest.remove(hash);
        }
    }

    fn push(&mut self, key: RowKey, value: &[u8]) -> Result<(), StoreError> {
        self.digest.add(RowHash::of(key.bytes(), value));
        self.block.push(key.bytes(), value);
        self.last_key = key;
        if self.block.bytes() >= BLOCK_BYTES { self.close() } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), StoreError> {
        if self.block.is_empty() {
            return Ok(());
        }
        self.complete.push((self.last_key, self.block.finish().to_vec()));
        self.block.clear();
        if self.complete.len() >= BLOCKS_TOGETHER { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), StoreError> {
        self.generation.put_blocks(&self.complete)?;
        self.complete.clear();
        Ok(())
    }

    /// Writes what is left. Returns the digest of all rows that were written.
    pub(crate) fn finish(mut self) -> Result<Digest, StoreError> {
        self.close()?;
        self.write()?;
        Ok(self.digest)
    }
}
