//! How a generation that is being built becomes one that can be served: settled, synced, finished.

use std::fs;
use std::sync::Arc;

use daybook_store::{Batch, Database, Digest, Purpose, files};

use super::directory::{BUILDING_FILE, ROWS_DIRECTORY, note_torn, remove_build};
use super::open::CACHE_BYTES;
use super::{Generation, Moment, finished, meta};
use crate::checkpoint::Checkpoint;
use crate::layout::Layout;
use crate::store::{GenerationError, StoreError};

impl Generation {
    /// Notes that it holds what `checkpoint` says and that its rows have `digest`, and makes all of it durable.
    pub fn settle(&mut self, checkpoint: Checkpoint, digest: Digest) -> Result<(), StoreError> {
        self.set_state(checkpoint, digest)?;
        self.has_blocks = self.rows.has_sorted_values();
        self.sync()
    }

    /// Closes it and opens it again, to see that what was built is what is there; notes what that is. `accepted` says why it is
    /// published although it says something else than the one before; with `recount` all rows are read, because they were not
    /// all written by this process.
    ///
    /// # Errors
    /// [`GenerationError`]; the generation then stays unfinished, and the next attempt begins it anew if it is damaged.
    pub fn proved(
        self,
        layout: &Layout,
        accepted: Option<&str>,
        recount: bool,
    ) -> Result<Self, GenerationError> {
        let path = self.path.clone();
        self.reopened(layout, accepted, recount).inspect_err(|error| match error {
            GenerationError::Store(error) if error.is_damage() => note_torn(&path, error),
            _ => {}
        })
    }

    fn reopened(
        self,
        layout: &Layout,
        accepted: Option<&str>,
        recount: bool,
    ) -> Result<Self, GenerationError> {
        self.sync()?;
        self.note_finished(accepted)?;
        let skipped = self.quarantine().skipped().to_vec();
        let Self { path, rows, lock, .. } = self;
        drop(rows);
        let proved = Self::read(
            &path,
            Database::open(&path.join(ROWS_DIRECTORY), Purpose::Followed, CACHE_BYTES)?,
            layout,
            lock,
        )?;
        finished::check(&path, &proved.last_moment())?;
        if recount && proved.recount_digest()? != proved.digest() {
            return Err(StoreError::damaged("open", &path, "its rows are not what was written").into());
        }
        proved.set_skipped(skipped)?;
        Ok(proved)
    }

    /// Notes that what was written is not what is there: it is begun anew, and never opened or gone on with.
    pub(crate) fn note_damaged(&self, error: &StoreError) {
        note_torn(&self.path, error);
    }

    /// Finishes it: from now on it can be opened to be served.
    ///
    /// # Errors
    /// [`StoreError`]; the generation then stays unfinished.
    pub fn finish(&self) -> Result<(), StoreError> {
        self.sync()?;
        if !finished::is_noted(&self.path) {
            self.note_finished(None)?;
        }
        let building = self.path.join(BUILDING_FILE);
        let removed = fs::remove_file(&building).and_then(|()| files::sync_parent(&building));
        removed.map_err(|error| {
            // Else it would count as finished, and never be published.
            if let Err(failed) = files::write(&building, "") {
                tracing::error!(%failed, "{} may count as finished; remove it", self.path.display());
            }
            StoreError::new("finish", &self.path, error)
        })?;
        remove_build(&self.path);
        Ok(())
    }

    /// Waits until everything written is on the disk.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.flush()?;
        // sled 0.34 asks Linux only to begin writing; these calls wait for the disk.
        files::sync_all_below(&self.path.join(ROWS_DIRECTORY))
            .and_then(|()| files::sync_parent(&self.path.join(ROWS_DIRECTORY)))
            .and_then(|()| files::sync_parent(&self.path))
            .map_err(|error| StoreError::new("sync", &self.path, error))
    }

    pub(super) fn set_state(&self, checkpoint: Checkpoint, digest: Digest) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        meta::put_digest(&mut batch, digest);
        checkpoint.sources().for_each(|(source, at)| meta::put_source(&mut batch, source, at));
        let quarantine = self.quarantine();
        self.write(batch, Moment { checkpoint: Arc::new(checkpoint), digest, quarantine }).map(drop)
    }
}
