//! Writing into a generation: rows, digest and checkpoint together.

use std::sync::Arc;

use uuid::Uuid;

use super::lookup::{PRESENT, REMOVED};
use super::{Generation, State, meta};
use crate::kernel::checkpoint::{Checkpoint, SourceCheckpoint, SourceId};
use crate::kernel::digest::{Digest, RowHash};
use crate::kernel::keys::RowKey;
use crate::kernel::quarantine::Quarantine;
use crate::kernel::rows::Batch;
use crate::kernel::store::StoreError;

/// Rows and parts of one atomic batch. sled keeps a whole batch in memory several times over: 10,000 rows took 5.5 GB
/// in a long run, 1,000 took 0.7 GB.
pub const BATCH_ROWS_MAX: usize = 1_000;

/// Rows on their way into a generation; nothing of it changes before [`Commit::finish`].
pub struct Commit<'g> {
    pub(super) generation: &'g Generation,
    pub(super) batch: Batch,
    digest: Digest,
    /// Changed only if something waits.
    pub(super) quarantine: Arc<Quarantine>,
    loose: Vec<u8>,
}

impl Generation {
    /// Begins to write rows and the checkpoint that they belong to.
    pub fn begin(&self) -> Commit<'_> {
        let digest = self.digest();
        let quarantine = self.quarantine();
        Commit { generation: self, batch: Batch::default(), digest, quarantine, loose: Vec::new() }
    }

    /// The hash of a row or part as it is stored.
    pub(in crate::kernel) fn stored_hash(&self, key: &RowKey) -> Result<Option<RowHash>, StoreError> {
        Ok(self.stored(key)?.map(|value| RowHash::of(key.bytes(), &value)))
    }

    /// Writes one part at once, into a generation that is being built and that nobody reads.
    pub(in crate::kernel) fn put_loose(&self, key: &RowKey, value: &[u8]) -> Result<(), StoreError> {
        self.rows.put(key.bytes(), &[&[PRESENT], value].concat())
    }
}

impl Commit<'_> {
    /// Writes a row; `None` removes it. `replaced` is the hash of the row as it is stored. Returns the new one's.
    pub(in crate::kernel) fn put_row(
        &mut self,
        view: u8,
        key: Uuid,
        value: Option<&[u8]>,
        replaced: Option<RowHash>,
    ) -> Option<RowHash> {
        self.put(&RowKey::row(view, key), value, replaced)
    }

    /// Writes one part of a row.
    pub(in crate::kernel) fn put_part(
        &mut self,
        view: u8,
        key: Uuid,
        number: u32,
        value: &[u8],
    ) -> Result<(), StoreError> {
        let key = RowKey::part(view, key, number);
        let replaced = self.generation.stored_hash(&key)?;
        self.put(&key, Some(value), replaced);
        Ok(())
    }

    fn put(&mut self, key: &RowKey, value: Option<&[u8]>, replaced: Option<RowHash>) -> Option<RowHash> {
        if let Some(replaced) = replaced {
            self.digest.remove(replaced);
        }
        let Some(value) = value else {
            match self.generation.has_blocks {
                true => self.batch.put(key.bytes(), &[REMOVED]),
                false => self.batch.remove(key.bytes()),
            }
            return None;
        };
        self.loose.clear();
        self.loose.push(PRESENT);
        self.loose.extend_from_slice(value);
        self.batch.put(key.bytes(), &self.loose);
        let hash = RowHash::of(key.bytes(), value);
        self.digest.add(hash);
        Some(hash)
    }

    /// Writes everything together with how far it reaches.
    ///
    /// # Errors
    /// [`StoreError`]; the generation is then as before.
    pub fn finish(
        mut self,
        reached: impl IntoIterator<Item = (SourceId, SourceCheckpoint)>,
    ) -> Result<Arc<Checkpoint>, StoreError> {
        let mut checkpoint = Checkpoint::clone(&self.generation.checkpoint());
        for (source, at) in reached {
            meta::put_source(&mut self.batch, &source, &at);
            checkpoint.set(source, at);
        }
        meta::put_digest(&mut self.batch, self.digest);
        self.generation.rows.apply(self.batch)?;
        let checkpoint = Arc::new(checkpoint);
        self.generation.show(State {
            checkpoint: checkpoint.clone(),
            digest: self.digest,
            quarantine: self.quarantine,
        });
        Ok(checkpoint)
    }
}
