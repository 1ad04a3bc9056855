//! Writing into a generation: rows, digest and checkpoint together.

use std::sync::Arc;

use daybook_store::{Batch, Digest, RowHash};
use uuid::Uuid;

use super::directory::note_torn;
use super::lookup::{PRESENT, REMOVED};
use super::{Generation, Moment};
use crate::checkpoint::{Checkpoint, SourceCheckpoint, SourceId};
use crate::codec::{self, RowError};
use crate::keys::{self, RowKey};
use crate::quarantine::Quarantine;
use crate::store::StoreError;

/// Rows and parts of one atomic batch. sled keeps a whole batch in memory several times over: 10,000 rows took 5.5 GB
/// in a long run, 1,000 took 0.7 GB.
pub const BATCH_ROWS_MAX: usize = 1_000;

/// Rows on their way into a generation; nothing of it changes before [`Commit::finish`].
pub struct Commit<'g> {
    pub(crate) generation: &'g Generation,
    pub(super) batch: Batch,
    digest: Digest,
    /// Changed only if something waits.
    pub(super) quarantine: Arc<Quarantine>,
    loose: Vec<u8>,
}

impl Generation {
    /// Begins to write rows and the checkpoint that they belong to.
    pub fn begin(&self) -> Commit<'_> {
        let Moment { digest, quarantine, .. } = Moment::clone(&self.last_moment());
        Commit { generation: self, batch: Batch::default(), digest, quarantine, loose: Vec::new() }
    }

    pub(crate) fn stored_hash(&self, key: &RowKey) -> Result<Option<RowHash>, StoreError> {
        Ok(self.stored(key)?.map(|value| RowHash::of(key.bytes(), &value)))
    }

    /// Writes a batch and shows the moment that it makes, in one step; syncs afterwards, while readers continue.
    pub(super) fn write(&self, batch: Batch, moment: Moment) -> Result<Arc<Moment>, StoreError> {
        let bytes = batch.bytes();
        self.rows.read_before(&batch)?;
        let moment = self.moments.change(|| {
            let applied = self.rows.apply_batch(batch).map_err(StoreError::from);
            #[cfg(test)]
            let applied = applied.and_then(|()| tests::pause(self));
            applied.inspect_err(|error| note_torn(&self.path, error)).map(|()| moment)
        })?;
        self.rows.sync_if_due(bytes)?;
        Ok(moment)
    }

    pub(super) fn set_state(&self, checkpoint: Checkpoint, digest: Digest) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        put_digest(&mut batch, digest);
        checkpoint.sources().try_for_each(|(source, at)| self.put_source(&mut batch, source, at))?;
        let quarantine = self.quarantine();
        self.write(batch, Moment { checkpoint: Arc::new(checkpoint), digest, quarantine }).map(drop)
    }

    fn put_source(
        &self,
        batch: &mut Batch,
        source: &SourceId,
        at: &SourceCheckpoint,
    ) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        codec::put(at, &mut bytes).map_err(|error| StoreError::new("write", &self.path, error))?;
        batch.put(&keys::source(source), &bytes);
        Ok(())
    }

    pub(crate) fn unwritable(&self, view: &str, key: Uuid, error: &RowError) -> StoreError {
        StoreError::new("write", &self.path, format!("row {key} of view {view}: {error}"))
    }

    /// Writes one part at once, into a generation that is being built and that nobody reads.
    pub(crate) fn put_loose(&self, key: &RowKey, value: &[u8]) -> Result<(), StoreError> {
        self.rows.insert(key.bytes(), &[&[PRESENT], value].concat())?;
        Ok(())
    }
}

impl Commit<'_> {
    /// Writes a row; `None` removes it. `replaced` is the hash of the row as it is stored. Returns the new one's.
    pub(crate) fn put_row(
        &mut self,
        view: u8,
        key: Uuid,
        value: Option<&[u8]>,
        replaced: Option<RowHash>,
    ) -> Option<RowHash> {
        self.put(&RowKey::row(view, key), value, replaced)
    }

    pub(crate) fn put_part(
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

    /// Writes everything together with how far it reaches, and shows it in one step.
    /// Errors: [`StoreError`]. Either nothing of it is there, or all of it and only the sync behind it failed
    /// ([`Generation::checkpoint`] tells); or the store took a part of it, and nothing is read or written any more.
    pub fn finish(
        mut self,
        reached: impl IntoIterator<Item = (SourceId, SourceCheckpoint)>,
    ) -> Result<Arc<Checkpoint>, StoreError> {
        let generation = self.generation;
        let mut checkpoint = Checkpoint::clone(&generation.checkpoint());
        for (source, at) in reached {
            generation.put_source(&mut self.batch, &source, &at)?;
            checkpoint.set(source, at);
        }
        put_digest(&mut self.batch, self.digest);
        let moment =
            Moment { checkpoint: checkpoint.into(), digest: self.digest, quarantine: self.quarantine };
        Ok(generation.write(self.batch, moment)?.checkpoint.clone())
    }
}

fn put_digest(batch: &mut Batch, digest: Digest) {
    batch.put(keys::DIGEST, &digest.to_bytes());
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::path::Path;
    use std::rc::Rc;

    use super::*;
    use crate::projection::Layout;
    use crate::store::Failure;

    const VIEW: u8 = 1;
    const KEY: Uuid = Uuid::from_u128(1);

    type Pause = Box<dyn FnOnce(&Generation) -> Result<(), StoreError>>;

    thread_local! {
        static PAUSE: RefCell<Option<Pause>> = const { RefCell::new(None) };
    }

    /// Called where rows have changed and the moment is not yet shown.
    pub(super) fn pause(generation: &Generation) -> Result<(), StoreError> {
        PAUSE.take().map_or(Ok(()), |pause| pause(generation))
    }

    fn at_the_pause(pause: impl FnOnce(&Generation) -> Result<(), StoreError> + 'static) {
        PAUSE.set(Some(Box::new(pause)));
    }

    fn layout() -> Layout {
        Layout { version: 1, views: vec![(VIEW, "toys")] }
    }

    fn open(path: &Path) -> Result<Generation, String> {
        Generation::open(path, &layout(), "a test").map_err(|error| error.to_string())
    }

    fn new_generation(path: &Path) -> Generation {
        let start = Checkpoint::zero([("toys", 1)]);
        Generation::create(path, &layout(), &start, "a test").unwrap().finish().unwrap();
        open(path).unwrap()
    }

    fn commit(generation: &Generation, value: &str) -> Result<Arc<Checkpoint>, StoreError> {
        let mut commit = generation.begin();
        let replaced = generation.stored_hash(&RowKey::row(VIEW, KEY))?;
        commit.put_row(VIEW, KEY, Some(value.as_bytes()), replaced);
        let next_position = generation.checkpoint().events() + 1;
        let at = SourceCheckpoint { next_position, last_id: Some(KEY), ..SourceCheckpoint::default() };
        commit.finish([(SourceId { topic: "toys".into(), partition: 0 }, at)])
    }

    fn row(generation: &Generation) -> Option<String> {
        let row = generation.row(VIEW, KEY).unwrap();
        row.map(|row| String::from_utf8(row.to_vec()).unwrap())
    }

    #[test]
    fn a_reader_of_positions_waits_from_the_first_changed_row_until_the_moment_is_shown() {
        let directory = tempfile::tempdir().unwrap();
        let generation = new_generation(directory.path());
        commit(&generation, "old").unwrap();
        let paused = Rc::new(Cell::new(false));
        let seen = paused.clone();
        at_the_pause(move |generation| {
            let stored = generation.rows.get(RowKey::row(VIEW, KEY).bytes()).unwrap().unwrap();
            assert_eq!(&stored[1..], b"new", "the row is there");
            assert!(generation.moments.is_held(), "and no reader takes positions without it");
            assert_eq!(generation.last_moment().checkpoint.events(), 1, "the status does not wait");
            seen.set(true);
            Ok(())
        });
        commit(&generation, "new").unwrap();
        assert!(paused.get());
        assert_eq!((generation.moment().checkpoint.events(), row(&generation).as_deref()), (2, Some("new")));
    }

    #[test]
    fn of_a_batch_that_was_taken_in_part_nothing_is_read_nor_built_upon() {
        let directory = tempfile::tempdir().unwrap();
        let generation = new_generation(directory.path());
        commit(&generation, "old").unwrap();
        at_the_pause(|generation| Err(StoreError::new("write", &generation.path, "a page cannot be read")));
        assert!(commit(&generation, "new").is_err());
        assert_eq!(generation.moment().checkpoint.events(), 1);
        assert!(generation.row(VIEW, KEY).is_err());
        assert!(generation.scan(VIEW, None, 10).is_err());
        assert!(generation.begin().finish([]).is_err(), "nothing is counted on top of it");
        drop(generation);
        let refused = open(directory.path()).err().unwrap();
        assert!(refused.contains("its rows are not whole (a page cannot be read)"), "{refused}");
    }

    #[test]
    fn a_generation_whose_disk_refused_a_batch_can_be_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let generation = new_generation(directory.path());
        at_the_pause(|generation| Err(StoreError::of(Failure::Write, "write", &generation.path, "no space")));
        assert!(commit(&generation, "new").is_err());
        assert!(generation.row(VIEW, KEY).is_err());
        drop(generation);
        open(directory.path()).unwrap();
    }

    #[test]
    fn a_batch_that_could_not_be_synced_counts_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let mut generation = new_generation(directory.path());
        generation.rows.fail_to_sync().unwrap();
        let failed = commit(&generation, "first").unwrap_err();
        assert_eq!((failed.failure, failed.action), (Failure::Write, "sync"), "{failed}");
        assert_eq!(
            (generation.moment().checkpoint.events(), row(&generation).as_deref()),
            (1, Some("first"))
        );
        assert!(commit(&generation, "second").is_err());
        assert_eq!(
            (generation.moment().checkpoint.events(), row(&generation).as_deref()),
            (2, Some("second"))
        );
        assert_eq!(generation.recount_digest().unwrap(), generation.digest());
    }
}
