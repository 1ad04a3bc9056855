//! What a service keeps itself: the journal, and the store that is made of it. Opened together, at every start.

use std::path::Path;
use std::sync::Arc;

use daybook_journal::{Beginning, Identity, Journal, OpenError, PartitionState, Settings, find};
use uuid::Uuid;

use super::directory::{index_of, journal_of};
use super::group::GroupError;
use super::index::{self, Reach, RedoError, Syncing};
use super::integrity::{self, IntegrityError};
use super::keys::LAYOUT;
use super::store::{Store, StoreError};

/// What helps where bytes are not what they were.
const REMEDY: &str = "; if that does not pass, keep a copy of the service's directory, then start with --recover to rebuild it from \
                      the log and what of the journal can be read";

/// Why journal and store cannot be begun with.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The journal cannot be opened.
    #[error("{}{}", .0, remedy(.0))]
    Journal(#[from] OpenError),
    /// The store cannot be opened, read or written.
    #[error("{0}; the store was being opened{REMEDY}")]
    Store(#[from] GroupError),
    /// They must not be gone on with.
    #[error(transparent)]
    Integrity(Box<IntegrityError>),
}

fn remedy(error: &OpenError) -> &'static str {
    if error.is_damage() { REMEDY } else { "" }
}

impl From<StoreError> for KeptError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.into())
    }
}

impl From<IntegrityError> for KeptError {
    fn from(error: IntegrityError) -> Self {
        match error {
            IntegrityError::Store(error) | IntegrityError::Redo(RedoError::Store(error)) => error.into(),
            error => Self::Integrity(Box::new(error)),
        }
    }
}

/// Journal and store, where the store has all that the journal has.
pub(crate) struct Kept {
    pub(crate) store: Arc<Store>,
    pub(crate) journal: Journal,
    pub(crate) syncing: Arc<Syncing>,
}

/// Whose they are, and when they are opened.
pub(crate) struct Opening<'a> {
    /// Full name of the own topic.
    pub(crate) topic: &'a str,
    pub(crate) partitions: i32,
    pub(crate) cache_bytes_max: u64,
    /// Id of a journal that is made anew.
    pub(crate) new_id: Uuid,
    /// In milliseconds since 1970.
    pub(crate) now_ms: u64,
}

impl Kept {
    /// Opens both in the directory `store`, and does again what the store may not have. Takes a new file for the journal:
    /// a disk that does not take it is found out here, before anything is claimed.
    pub(crate) fn open(store_dir: &Path, opening: &Opening<'_>) -> Result<Self, KeptError> {
        let found = find(&journal_of(store_dir))?;
        let store = Arc::new(Store::open(&index_of(store_dir), opening.cache_bytes_max)?);
        let index_number = index::number(&store)?;
        let reach = Reach { last: found.last_number(), synced: found.index_synced() };
        let identity = Identity {
            topic: opening.topic.to_owned(),
            cluster: String::new(),
            layout: LAYOUT,
            partitions: opening.partitions,
        };
        let initial = vec![PartitionState::default(); opening.partitions.max(0) as usize];
        let Opening { new_id, now_ms, .. } = *opening;
        let beginning =
            Beginning { identity: &identity, index_number, new_id, initial: &initial, in_log: &[], now_ms };
        let mut journal = found.begin(&beginning, &Settings::default())?;
        let done = index::redo(&store, &journal.reader(), reach).map_err(IntegrityError::from)?;
        if done > 0 {
            tracing::info!(records = done, "the store was brought to where the journal is");
        }
        integrity::check(&store, opening.partitions)?;
        store.sync()?;
        journal.index_synced(journal.last_number());
        let syncing = Arc::new(Syncing::new(Arc::clone(&store), journal.last_number()));
        Ok(Self { store, journal, syncing })
    }
}
