//! Whether a store that was just opened may be gone on with: at the start, and after a failure.
//!
//! sled opens what it can still read, and what lies behind damage is dropped without a word; a batch that failed on its
//! way may be there in part. So what must hold is looked at: the outbox has every event from its first row to the
//! counter, nothing is missing that was durable, and the batch that failed is there whole or not at all. A store that
//! fails this is not gone on with: the process ends with the reason, which is noted in the store for the next start.

use uuid::Uuid;

use super::fields::Damaged;
use super::group::GroupError;
use super::keys;
use super::recorded::{self, Recorded};
use super::rows::Counter;
use super::store::{Store, StoreError, Writes};

/// Outbox rows looked at together.
const SCAN_ROWS_MAX: usize = 256;

/// Why a store must not be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum IntegrityError {
    /// It cannot be read at all.
    #[error("{0}")]
    Store(#[from] GroupError),
    /// An event is missing in the outbox.
    #[error(
        "the store in {dir} is damaged: its outbox has no event at position {position} of partition {partition}, and goes on to \
         before position {next}; {REMEDY}"
    )]
    Missing {
        /// The store's directory.
        dir: String,
        /// The partition.
        partition: i32,
        /// The first position that is missing.
        position: u64,
        /// The position of the next event.
        next: u64,
    },
    /// The outbox has an event that is not counted, or one twice.
    #[error(
        "the store in {dir} is damaged: its outbox has a row at position {position} of partition {partition} where position \
         {next} is the next; {REMEDY}"
    )]
    Surplus {
        /// The store's directory.
        dir: String,
        /// The partition.
        partition: i32,
        /// Where the row begins.
        position: u64,
        /// Where a row should have begun.
        next: u64,
    },
    /// The counter names another last event than the outbox has.
    #[error(
        "the store in {dir} is damaged: the last event of partition {partition}, at position {position}, is {} in its outbox and {} \
         by its counter; {REMEDY}", name(found.as_ref()), name(counted.as_ref())
    )]
    LastEvent {
        /// The store's directory.
        dir: String,
        /// The partition.
        partition: i32,
        /// Its position.
        position: u64,
        /// Its id in the outbox.
        found: Option<Uuid>,
        /// Its id by the counter.
        counted: Option<Uuid>,
    },
    /// It is older than what was durable.
    #[error(
        "the store in {dir} came back older than it was: it has partition {partition} up to before position {found}, but \
         everything up to before position {durable} was on disk and acknowledged; see what is wrong with the disk, then start \
         with --recover to rebuild the store from the log; what Kafka does not have either is lost"
    )]
    Older {
        /// The store's directory.
        dir: String,
        /// The partition.
        partition: i32,
        /// Position of the next event in it.
        found: u64,
        /// Position of the next event when it was last durable.
        durable: u64,
    },
    /// A batch is there in part.
    #[error(
        "the store in {dir} is damaged: of {changes} changes that belong together it has {applied}; nothing of them was \
         acknowledged; {REMEDY}"
    )]
    Torn {
        /// The store's directory.
        dir: String,
        /// Changes of the batch.
        changes: usize,
        /// Those that are there.
        applied: usize,
    },
    /// It was found damaged before.
    #[error("{0} (found when it was last in use)")]
    Noted(String),
}

/// What `--recover` does with the old outbox.
const REMEDY: &str = "start with --recover to rebuild it from the log; events that Kafka does not have are taken over up to the \
                      damage, and the old store is kept with what cannot be";

fn name(id: Option<&Uuid>) -> String {
    id.map_or_else(|| "none".to_owned(), Uuid::to_string)
}

impl From<StoreError> for IntegrityError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.into())
    }
}

impl From<Damaged> for IntegrityError {
    fn from(error: Damaged) -> Self {
        Self::Store(error.into())
    }
}

impl IntegrityError {
    /// Whether this is about the disk, which may be well again later, and not about what is in the store.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Store(GroupError::Store(_)))
    }
}

/// Looks at a store that was just opened: its outbox, and what was noted about it.
pub(crate) fn check(store: &Store, partitions: i32) -> Result<(), IntegrityError> {
    if let Some(noted) = store.get(&keys::damage())? {
        return Err(IntegrityError::Noted(String::from_utf8_lossy(&noted).into_owned()));
    }
    (0..partitions).try_for_each(|partition| check_outbox(store, partition))
}

/// The outbox of one partition has every event from its first row, which is sent, to the counter, and ends with the
/// counter's last event.
fn check_outbox(store: &Store, partition: i32) -> Result<(), IntegrityError> {
    let dir = store.dir().display().to_string();
    let Recorded { counter, sent, kept_from } = recorded::recorded(store, partition)?;
    let missing =
        |position| IntegrityError::Missing { dir: dir.clone(), partition, position, next: counter.next };
    if kept_from > sent {
        return Err(missing(sent));
    }
    let (mut next, mut from) = (kept_from, kept_from);
    loop {
        let rows = recorded::rows_from(store, partition, from, SCAN_ROWS_MAX)?;
        let Some((last, _)) = rows.last() else { break };
        from = last + 1;
        for (first, row) in rows {
            if first > next && next < counter.next {
                return Err(missing(next));
            }
            let end = first + row.events.len() as u64;
            if first != next || end > counter.next {
                return Err(IntegrityError::Surplus { dir, partition, position: first, next });
            }
            next = end;
        }
    }
    if next < counter.next {
        return Err(missing(next));
    }
    check_last(store, partition, dir, &counter, kept_from)
}

fn check_last(
    store: &Store,
    partition: i32,
    dir: String,
    counter: &Counter,
    kept_from: u64,
) -> Result<(), IntegrityError> {
    let Some(position) = counter.next.checked_sub(1).filter(|last| *last >= kept_from) else { return Ok(()) };
    let found = recorded::kept_id(store, partition, position)?;
    let counted = counter.last_id;
    match found == counted {
        true => Ok(()),
        false => Err(IntegrityError::LastEvent { dir, partition, position, found, counted }),
    }
}

/// Nothing is missing that was durable before the store was opened afresh.
pub(crate) fn check_durable(
    store: &Store,
    counters: &[Counter],
    durable: &[u64],
) -> Result<(), IntegrityError> {
    for ((partition, counter), durable) in (0..).zip(counters).zip(durable) {
        if counter.next < *durable {
            let (dir, found) = (store.dir().display().to_string(), counter.next);
            return Err(IntegrityError::Older { dir, partition, found, durable: *durable });
        }
    }
    Ok(())
}

/// Notes in a store why it must not be gone on with, so that the next start knows as well.
pub(crate) fn note(store: &Store, error: &IntegrityError) {
    let row = (keys::damage(), Some(error.to_string().into_bytes()));
    if let Err(error) = store.apply(vec![row]).and_then(|()| store.sync()) {
        tracing::error!(%error, "what is wrong with the store could not be noted in it");
    }
}

/// A batch that is about to be applied, as far as it changes anything.
#[derive(Debug)]
pub(crate) struct Attempt {
    changes: Writes,
}

impl Attempt {
    /// Reads every row that is to be written: one that cannot be read is met before anything has been changed.
    pub(crate) fn of(store: &Store, writes: &Writes) -> Result<Self, StoreError> {
        let mut changes = Writes::new();
        for (key, value) in writes {
            if store.get(key)?.as_deref() != value.as_deref() {
                changes.push((key.clone(), value.clone()));
            }
        }
        Ok(Self { changes })
    }

    /// The store has all of it or nothing, if what came before it is there.
    pub(crate) fn check(&self, store: &Store) -> Result<(), IntegrityError> {
        let (changes, mut applied) = (self.changes.len(), 0);
        for (key, value) in &self.changes {
            applied += usize::from(store.get(key)?.as_deref() == value.as_deref());
        }
        if applied == 0 || applied == changes {
            return Ok(());
        }
        Err(IntegrityError::Torn { dir: store.dir().display().to_string(), changes, applied })
    }
}
