//! One generation of the read model: rows, layout, checkpoint and digest in one store.
//!
//! A row is stored under the number of its view and its key; a part under the same and its number, so that a row and its
//! parts lie together. Number 0 is no view; under it lie the layout, the digest of all rows, and one checkpoint per
//! partition.
//!
//! Rows lie in two places. What a replay builds lies in *blocks*, in order, many rows to a stored value, and is never
//! changed. What has changed since lies *loose*, one stored value each, and comes before the block's: its first byte
//! says whether the row is there or was removed. Events that wait ([`super::quarantine`]) lie under number 0, too.
//!
//! A finished generation takes rows, digest and checkpoint in one atomic batch, and shows them in one step ([`moments`]). Its
//! last batches may be missing after a power cut, never a part of one: the log gives them again. While it is being built (the file `BUILDING` stands beside
//! the rows) it is never served. `finish` syncs everything, and notes in `FINISHED` what it is, before it removes that file.

mod commit;
mod directory;
mod finished;
mod lookup;
mod moments;
mod open;
mod parked;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint::Checkpoint;
use super::keys::RowKey;
use super::quarantine::Quarantine;
use super::store::StoreError;

pub use commit::{BATCH_ROWS_MAX, Commit};
pub use daybook_store::Bytes;
use daybook_store::{Database, Digest, DirectoryLock};
use directory::BUILD_DIRECTORY;
pub use directory::{PROBE_FILE, build_path, bytes_on_disk, is_unfinished, layout_of};
pub(super) use directory::{has_foreign_files, lock, misplaced_in_build};
pub use lookup::{StoredRow, StoredRows};
pub use moments::Moment;
use moments::Moments;

/// How often rows are read again that were committed to meanwhile.
const ONE_MOMENT_TRIES: u32 = 4;

/// One generation, open. Readers of many threads and one writer share it.
pub struct Generation {
    path: PathBuf,
    rows: Database,
    moments: Moments,
    has_blocks: bool,
    lock: DirectoryLock,
}

impl Generation {
    fn with(path: &Path, rows: Database, moment: Moment, lock: DirectoryLock) -> Self {
        let (has_blocks, moments) = (rows.has_sorted_values(), Moments::new(path, moment));
        Self { path: path.to_owned(), rows, moments, has_blocks, lock }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn build_path(&self) -> PathBuf {
        self.path.join(BUILD_DIRECTORY)
    }

    /// How far it has got, its digest and what waits, as of one commit. Taken before rows are read, it says what they hold at
    /// least. Waits while a batch is being written, as reading a row does.
    pub fn moment(&self) -> Arc<Moment> {
        self.moments.now()
    }

    /// Whether a batch was taken in part, so that nothing is read or written any more before it is opened afresh. Does not wait; of
    /// a batch that is being written it is not known yet.
    pub fn is_torn(&self) -> bool {
        self.moments.is_torn()
    }

    /// As of the last commit that is complete. Does not wait, also while the disk hangs; rows may be newer.
    pub fn last_moment(&self) -> Arc<Moment> {
        self.moments.last()
    }

    /// What `read` gives while nothing is committed, and the moment that it belongs to; `None` if something was committed each
    /// time that it was tried.
    pub fn at_one_moment<T>(&self, mut read: impl FnMut() -> T) -> Option<(Arc<Moment>, T)> {
        (0..ONE_MOMENT_TRIES).find_map(|_| {
            let before = self.moment();
            let found = read();
            // No other moment can lie where this one does, as long as it is kept.
            Arc::ptr_eq(&before, &self.moment()).then_some((before, found))
        })
    }

    /// How far it had got with the last commit ([`Generation::last_moment`]).
    pub fn checkpoint(&self) -> Arc<Checkpoint> {
        self.last_moment().checkpoint.clone()
    }

    /// What waited as of the last commit ([`Generation::last_moment`]).
    pub fn quarantine(&self) -> Arc<Quarantine> {
        self.last_moment().quarantine.clone()
    }

    /// The digest of all rows as of the last commit ([`Generation::last_moment`]).
    pub fn digest(&self) -> Digest {
        self.last_moment().digest
    }

    pub fn flush(&self) -> Result<(), StoreError> {
        Ok(self.rows.flush()?)
    }

    /// Keys and values of the largest batch since it was opened.
    #[cfg(test)]
    pub(super) fn largest_batch(&self) -> usize {
        self.rows.largest_batch()
    }

    /// Writes blocks of rows of a generation that is being built, each with the last key in it, in ascending order.
    pub(super) fn put_blocks(&self, blocks: &[(RowKey, Vec<u8>)]) -> Result<(), StoreError> {
        Ok(self.rows.put_sorted(blocks)?)
    }

    /// Says that the rows behind `before` are about to be written, maybe while others before it are.
    pub(super) fn put_fence(&self, before: &RowKey) -> Result<(), StoreError> {
        Ok(self.rows.put_fence(before.bytes())?)
    }

    pub fn bytes_on_disk(&self) -> Result<u64, StoreError> {
        bytes_on_disk(&self.path)
    }
}
