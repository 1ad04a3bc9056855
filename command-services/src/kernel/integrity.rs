//! Whether a store that was just opened may be gone on with: at the start, and after a failure.
//!
//! sled opens what it can still read, and what lies behind damage is dropped without a word. What the journal has is done
//! again before; then what must hold is looked at: the outbox has every event from its first row to the counter, and
//! nothing is missing that was durable. A store that fails this is not gone on with: the process ends with the reason.

use daybook_journal::AppendError;
use uuid::Uuid;

use super::fields::Damaged;
use super::group::GroupError;
use super::index::RedoError;
use super::recorded::{self, Recorded};
use super::rows::Counter;
use super::store::{Store, StoreError};

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
    /// The store could not be brought to where the journal is.
    #[error(transparent)]
    Redo(#[from] RedoError),
    /// What of the journal is on the disk is not known.
    #[error("{0}")]
    JournalFailed(String),
    /// The journal was not closed in order.
    #[error(transparent)]
    Journal(#[from] AppendError),
    /// The disk has no room for the journal.
    #[error("the journal has no room: {0}")]
    NoRoom(String),
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
    /// Whether this is about the disk, which may be well again later, and not about what is on it.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Store(GroupError::Store(_))
                | Self::Redo(RedoError::Store(GroupError::Store(_)))
                | Self::NoRoom(_)
        )
    }
}

/// Looks at the outbox of a store that was just opened and has all that the journal has.
pub(crate) fn check(store: &Store, partitions: i32) -> Result<(), IntegrityError> {
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
