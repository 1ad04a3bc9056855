//! The store as an index of the journal: what a group writes is done here from its record, as often as it takes.
//!
//! Writes are absolute, so doing a record twice is doing it once. The number of the last record that was done lies in the
//! store, written with the record's last write. It says what was done, and not what a power cut leaves of it: that is the
//! number before which a sync began, which the journal keeps. An opening redoes from the smaller of the two.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use daybook_journal::{AppendError, Journal, ReadError, Reader, Write};
use daybook_service::fires;
use daybook_store::{SYNC_PAUSE, Store, StoreError, Writes};
use uuid::Uuid;

use crate::metrics::Metrics;
use crate::store::fields::Fields;
use crate::store::keys;
use crate::store::rows::{RowError, UniqueForm};

const TOLD_RECORDS: u64 = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) number: u64,
    pub(crate) journal: Uuid,
}

/// The last record of the journal that the store has; none if it has none.
pub(crate) fn done(store: &Store) -> Result<Option<Done>, RowError> {
    let Some(row) = store.get(&keys::number())? else { return Ok(None) };
    let mut fields = Fields::of("record number", &row);
    Ok(Some(Done { number: fields.u64()?, journal: fields.id()? }))
}

/// Number of the last record of the journal that the store has; 0 if it has none.
pub(crate) fn number(store: &Store) -> Result<u64, RowError> {
    Ok(done(store)?.map_or(0, |done| done.number))
}

pub(crate) fn done_row(number: u64, journal: Uuid) -> (Vec<u8>, Vec<u8>) {
    (keys::number(), [&number.to_be_bytes()[..], journal.as_bytes()].concat())
}

pub(crate) fn batch(writes: Vec<Write>) -> Writes {
    writes.into_iter().map(|write| (write.key, write.value)).collect()
}

pub(crate) fn apply(store: &Store, number: u64, journal: Uuid, writes: Writes) -> Result<(), StoreError> {
    let mut writes = writes;
    let (key, row) = done_row(number, journal);
    writes.push((key, Some(row)));
    store.apply(writes)
}

/// How far a journal goes, and how far it says that the store was synced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reach {
    pub(crate) last: u64,
    pub(crate) synced: u64,
}

/// Up to which record the unique keys were built from the states; 0 if they are to be built.
fn unique_keys_built_at(store: &Store) -> Result<u64, RowError> {
    let row = store.get(&keys::unique_form())?;
    Ok(row.map(|row| UniqueForm::decode(&row)).transpose()?.map_or(0, |form| form.built_at))
}

/// Does all records again that the store may not have. Returns how many. Nothing is written before all that is needed has
/// been seen to be readable: a store that was set back half way would be worse than one that is left as it is.
pub(crate) fn redo(store: &Store, journal: &Reader, reach: Reach) -> Result<u64, CommitError> {
    let found = number(store)?;
    if found > reach.last {
        // Whether that is damage of the journal, whoever begins with it finds out. Nothing older is put over it.
        return Ok(0);
    }
    let from = first_to_do(journal, found, reach)?;
    let keys_built_at = unique_keys_built_at(store)?;
    let mut done = 0;
    for record in journal.records_from(from) {
        let record = record?;
        let mut writes = batch(record.group.writes);
        // Keys that an earlier program made of its states are not those that were built since.
        writes.retain(|(key, _)| record.number > keys_built_at || !keys::is_unique(key));
        apply(store, record.number, journal.id(), writes)?;
        if store.is_full_of_unsynced() {
            store.sync()?;
        }
        done += 1;
        if done % TOLD_RECORDS == 0 {
            tracing::info!(
                record = record.number,
                "doing again what the journal has and the store may not have"
            );
        }
    }
    Ok(done)
}

/// The record from which on all are readable, and none before it is needed.
fn first_to_do(journal: &Reader, found: u64, reach: Reach) -> Result<u64, CommitError> {
    let (mut from, mut damaged) = (found.min(reach.synced) + 1, None);
    let mut expected = from;
    for record in journal.records_from(from) {
        match record {
            Ok(record) if record.number == expected => expected += 1,
            // What is missing lies before this record, and the store says that it has it.
            Ok(record) if record.number <= found + 1 => {
                (from, expected) = (record.number, record.number + 1);
                tracing::warn!(before = record.number, "the journal lacks records that the store has");
            }
            Ok(record) => {
                let older = CommitError::Older { found: expected - 1, first: record.number };
                return Err(damaged.map_or(older, CommitError::Record));
            }
            Err(error) => damaged = Some(error),
        }
    }
    if expected <= reach.last && reach.last <= found && !matches!(damaged, Some(ReadError::Io { .. })) {
        // Only what the store says that it has.
        return Ok(reach.last + 1);
    }
    if expected <= reach.last {
        let older = CommitError::Older { found: expected - 1, first: reach.last + 1 };
        return Err(damaged.map_or(older, CommitError::Record));
    }
    Ok(from)
}

/// What the committer and the thread that syncs know of each other.
#[derive(Debug)]
pub(crate) struct Syncing {
    store: Arc<Store>,
    dir: PathBuf,
    applied: AtomicU64,
    synced: AtomicU64,
    /// Held while the store is synced, and while it is opened afresh.
    turn: Mutex<()>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    due: bool,
    stopping: bool,
}

impl Syncing {
    pub(crate) fn new(store: Arc<Store>, synced: u64, dir: PathBuf) -> Self {
        Self {
            store,
            dir,
            applied: AtomicU64::new(synced),
            synced: AtomicU64::new(synced),
            turn: Mutex::new(()),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// The committer: this record was applied; 0 if something else was.
    pub(crate) fn applied(&self, number: u64) {
        self.applied.fetch_max(number, Ordering::SeqCst);
        if self.store.is_sync_due() {
            self.lock().due = true;
            self.changed.notify_all();
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn synced(&self) -> u64 {
        self.synced.load(Ordering::SeqCst)
    }

    pub(crate) fn reopen(&self, journal: &Journal) -> Result<(), CommitError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.store.is_distrusted() && !fires("trust-disk") {
            return Err(CommitError::Distrusted);
        }
        self.store.reopen()?;
        self.applied.store(self.synced(), Ordering::SeqCst);
        let reach = Reach { last: journal.last_number(), synced: self.synced() };
        redo(&self.store, &journal.reader(), reach)?;
        self.applied.store(number(&self.store)?, Ordering::SeqCst);
        Ok(())
    }

    /// Whoever is about to write: waits for a sync if as much lies unsynced as may.
    pub(crate) fn wait_for_room(&self) -> Result<(), StoreError> {
        if self.store.is_full_of_unsynced() { self.sync() } else { Ok(()) }
    }

    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let applied = self.applied.load(Ordering::SeqCst);
        self.store.sync()?;
        self.synced.fetch_max(applied, Ordering::SeqCst);
        Ok(())
    }

    /// Syncs whenever that is due, until told to stop. A sync that fails is noticed by the next write.
    pub(crate) fn run(&self, metrics: &Metrics) {
        while self.wait_until_due() {
            if !self.store.is_sync_due() {
                continue;
            }
            match self.sync() {
                Ok(()) => {
                    metrics.store_syncs.inc();
                }
                Err(error) => tracing::error!(%error, "the store could not be synced"),
            }
        }
    }

    fn wait_until_due(&self) -> bool {
        let state = self.lock();
        let waits = |state: &mut State| !state.due && !state.stopping;
        let waited = self.changed.wait_timeout_while(state, SYNC_PAUSE, waits);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.due = false;
        !state.stopping
    }

    pub(crate) fn stop(&self) {
        self.lock().stopping = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stops the thread that syncs, and waits for its end. Returns whether it ended in order.
pub(crate) fn join(syncing: &Syncing, thread: JoinHandle<()>) -> bool {
    syncing.stop();
    thread.join().is_ok()
}

/// Why journal or index cannot be written or brought together, or must not be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// If the journal has the batch, it is done again once the store is well.
    #[error("{0}")]
    Store(#[from] RowError),
    #[error("{0}")]
    Journal(#[from] AppendError),
    #[error("the disk failed while the store was written or synced, so what is on it is not known")]
    Distrusted,
    #[error("a record that the store does not have cannot be read from the journal: {0}")]
    Record(#[from] ReadError),
    #[error(
        "the store is older than it was: it has the journal's records up to {found}, and of the later ones the journal has those \
             from {first} on"
    )]
    Older { found: u64, first: u64 },
    #[error(
        "the store's index is unusable ({reason}); it was put aside as {}, and is built again from the log and the journal at \
         the next start, which loses nothing", aside.display()
    )]
    IndexAside { reason: String, aside: PathBuf },
    #[error(
        "the store's index is unusable ({reason}); it is left where it is, since it could not be built again when this process \
         started; the next start builds it if the whole log can be read by then, which loses nothing"
    )]
    IndexLeft { reason: String },
    #[error("{0}; this is a mistake of this program, and another attempt would meet it again")]
    TooLarge(StoreError),
    #[error("the disk takes no writes: {0}")]
    NoRoom(String),
}

impl From<StoreError> for CommitError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.into())
    }
}

impl CommitError {
    /// Whether it is the index that is at fault, and not the disk: it can be built again.
    pub(crate) fn is_of_the_index(&self) -> bool {
        match self {
            Self::Store(error) => error.is_damage(),
            Self::Distrusted | Self::Record(_) | Self::Older { .. } => true,
            _ => false,
        }
    }
}
