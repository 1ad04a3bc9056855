//! The index that a start finds: opened, or put aside by one rename and built again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io};

use daybook_store::files::{probe, remove, sync_dir};
use daybook_store::{Noted, Store, StoreError, Unreadable};

use crate::store::directory::{ASIDE, INDEX};
use crate::store::index::{self, Done};
use crate::store::keys::{self, Span};
use crate::store::rows::{Counter, RowError};
use crate::store::{FoundStore, KeptError, Opening};

/// Pause between two lines of the log that tell how far it is.
const PROGRESS_PAUSE: Duration = Duration::from_secs(5);

pub(super) enum FoundIndex {
    Open {
        store: Arc<Store>,
        done: Option<Done>,
        counters: Vec<Counter>,
    },
    Unusable(String),
    /// The same, where nothing is wrong with it but that pages of it cannot be read.
    Unreadable(String),
}

impl FoundIndex {
    pub(super) fn find(dir: &Path, opening: &Opening<'_>, of_today: bool) -> Result<Self, KeptError> {
        let path = dir.join(INDEX);
        if !path.exists() {
            return Ok(Self::Unusable("there is none".to_owned()));
        }
        if !path.is_dir() {
            return Ok(Self::Unusable("what lies in its place is no directory".to_owned()));
        }
        let noted = if of_today { Noted::MustBe } else { Noted::Ignored };
        match Self::open(&path, opening, (noted, Unreadable::IsDamage)) {
            Ok(index) => Ok(index),
            Err(error) if error.is_damage() => {
                // On a disk that takes nothing, what looks like damage may be none, and nothing could be built.
                takes_writes(dir).map_err(|source| KeptError::NoRoom { dir: dir.to_owned(), source })?;
                tracing::error!(index = %path.display(), %error, "the index is unusable, and has to be built again");
                Ok(match &error {
                    RowError::Store(StoreError::NotAsWritten | StoreError::NoDigest) => {
                        Self::Unusable(error.to_string())
                    }
                    _ => Self::Unreadable(error.to_string()),
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn open(path: &Path, opening: &Opening<'_>, checks: (Noted, Unreadable)) -> Result<Self, RowError> {
        let reported_at = Mutex::new(Instant::now());
        let tell = |rows| {
            opening.progress.report(format!("adding up the rows of the index, {rows} so far"));
            let mut reported_at = reported_at.lock().unwrap_or_else(PoisonError::into_inner);
            if reported_at.elapsed() >= PROGRESS_PAUSE {
                *reported_at = Instant::now();
                tracing::info!(rows, "adding up the rows of the index");
            }
        };
        let store = Store::open_reporting(path, opening.cache_bytes_max, checks, &tell)?;
        let done = index::done(&store)?;
        let counters = counters(&store, opening.partitions)?;
        Ok(Self::Open { store: Arc::new(store), done, counters })
    }
}

impl FoundStore {
    /// Why its index is to be built again, of the whole log.
    pub(crate) fn lacks_index(&self) -> Option<&str> {
        match &self.index {
            FoundIndex::Unusable(reason) | FoundIndex::Unreadable(reason) => Some(reason),
            FoundIndex::Open { .. } => None,
        }
    }

    /// An index that cannot be built again is gone on with where nothing is wrong with it but that pages of it cannot be read: who
    /// needs them is refused. Rows of which it is known that some are gone, or not known at all, are not.
    pub(crate) fn make_do(&mut self, opening: &Opening<'_>) {
        if !matches!(self.index, FoundIndex::Unreadable(_)) {
            return;
        }
        match FoundIndex::open(&self.dir.join(INDEX), opening, (Noted::MustBe, Unreadable::IsLeft)) {
            Ok(index) => self.index = index,
            Err(error) => tracing::debug!(%error, "the index cannot be used"),
        }
    }
}

pub(super) fn counters(store: &Store, partitions: i32) -> Result<Vec<Counter>, RowError> {
    (0..partitions).map(|partition| counter(store, partition)).collect()
}

/// Where a partition stands as an index has it.
pub(crate) fn counter(store: &Store, partition: i32) -> Result<Counter, RowError> {
    let row = store.get(&keys::counter(partition))?;
    Ok(row.map(|row| Counter::decode(&row)).transpose()?.unwrap_or_default())
}

/// A file that is written, synced and removed to see whether the disk takes that.
const TRIAL: &str = "trial";
/// Its size: a segment of the index, and something.
const TRIAL_BYTES: usize = 2 * 1024 * 1024;

/// Puts the index of a store aside and returns where it is now. One is kept, the last.
pub(crate) fn put_aside(store: &Path) -> io::Result<PathBuf> {
    let (index, aside) = (store.join(INDEX), store.join(ASIDE));
    remove(&aside)?;
    fs::rename(&index, &aside)?;
    sync_dir(store)?;
    Ok(aside)
}

pub(crate) fn takes_writes(store: &Path) -> io::Result<()> {
    probe(&store.join(TRIAL), TRIAL_BYTES)
}

const ROWS_MAX: usize = 500;

impl FoundStore {
    /// Of an index whose unique keys are of an earlier form, before anything says that the directory is of today's layout: what
    /// could not be done then must leave it to the program before.
    /// Reads what the keys are built of and in place of. An index of which that cannot be read is one to be built again.
    pub(crate) fn read_through(&mut self) -> Result<(), KeptError> {
        let FoundIndex::Open { store, .. } = &self.index else { return Ok(()) };
        let read =
            [keys::aggregates(), keys::all_unique()].into_iter().try_for_each(|span| read(store, span));
        match read {
            Ok(()) => Ok(()),
            Err(error) if error.is_damage() && takes_writes(&self.dir).is_ok() => {
                self.index = FoundIndex::Unreadable(error.to_string());
                Ok(())
            }
            Err(error) => Err(RowError::from(error).into()),
        }
    }

    /// From here on its rows have a digest: once the directory is of today's layout, one that has none has lost it.
    pub(crate) fn note_digest(&self) -> Result<(), KeptError> {
        let FoundIndex::Open { store, .. } = &self.index else { return Ok(()) };
        store.apply(Vec::new())?;
        Ok(store.sync()?)
    }
}

fn read(store: &Store, mut span: Span) -> Result<(), StoreError> {
    while let Some((last, _)) = store.scan(&span, ROWS_MAX)?.last() {
        span.0 = [last, &[0][..]].concat();
    }
    Ok(())
}
