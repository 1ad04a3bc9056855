//! A view: a keyed fold, written as pure functions.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::codec::RowError;
use super::store::{ReadError, StoreError};
use super::{codec, heap};

/// Rows by key, each the fold of its key's events.
///
/// Everything in a row, and whether an event contradicts it, must follow from the key's own events in their order within one partition: how topics
/// interleaved, and when rows were written, must not show, or equal logs would have unequal digests. Views are joined
/// when they are read.
///
/// How changes and rows are kept is postcard's format by way of serde, unless a view has one of its own. That format has no names:
/// a type must write all of its fields, always and in one order, so neither `flatten` nor `skip_serializing_if` nor a `HashMap`
/// may be in it; and whatever changes the bytes of rows counts up [`Projection::layout_version`](crate::Projection).
pub trait View: 'static {
    type Event;
    /// What of an event matters to this view.
    type Change: Serialize + DeserializeOwned;
    /// A row, as the fold sees it.
    type Row: Serialize + DeserializeOwned + Send + 'static;
    /// Number of the view in stored keys, from 1; never used again for another view.
    const ID: u8;
    const NAME: &'static str;
    /// Whether the key of every row is the record key of the events that it is folded from. An answer from such a row rests on one
    /// partition and one key of each topic, and says so; from any other row it rests on all.
    const BY_RECORD_KEY: bool = false;

    /// The row that an event belongs to, and what changes in it; `None` if the view does not care for it.
    fn change(event: &Self::Event) -> Option<(Uuid, Self::Change)>;

    /// The row after a change; `None` removes it.
    ///
    /// # Errors
    /// [`FoldError::Contradiction`]: nothing of the event is kept, and it waits for this view's row with all later ones of its partition.
    fn fold(
        row: Option<Self::Row>,
        change: Self::Change,
        at: &EventMeta<'_>,
        parts: &mut Parts<'_>,
    ) -> Folded<Self::Row>;

    /// Appends the change's bytes: a replay keeps changes until all of a key's are together.
    #[inline]
    fn put_change(change: &Self::Change, to: &mut Vec<u8>) -> Result<(), RowError> {
        codec::put(change, to)
    }

    /// Reads what [`View::put_change`] wrote.
    ///
    /// # Errors
    /// [`RowError`] for bytes that it never wrote.
    #[inline]
    fn read_change(bytes: &[u8]) -> Result<Self::Change, RowError> {
        codec::read(bytes)
    }

    /// Appends the row's bytes. Equal rows have equal bytes.
    #[inline]
    fn encode(row: &Self::Row, to: &mut Vec<u8>) -> Result<(), RowError> {
        codec::put(row, to)
    }

    /// Reads the row's bytes.
    ///
    /// # Errors
    /// [`RowError`] for bytes that [`View::encode`] never wrote.
    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self::Row, RowError> {
        codec::read(bytes)
    }

    /// Bytes that a row takes in memory beyond its own size, estimated from above.
    fn heap_bytes(row: &Self::Row) -> usize {
        heap::bytes(row)
    }

    /// The row for people, as JSON.
    ///
    /// # Errors
    /// [`ReadError`] if a part of the row cannot be read.
    fn describe(row: &Self::Row, key: Uuid, _parts: &dyn PartStore) -> Result<Value, ReadError> {
        let described = serde_json::to_value(row);
        described.map_err(|error| {
            ReadError::row(Self::NAME, key)(RowError::Unwritable { detail: error.to_string() })
        })
    }
}

/// What a fold leaves: a row, or none where it is removed.
pub type Folded<Row> = Result<Option<Row>, FoldError>;

/// Where an event came from, and what its envelope says.
#[derive(Debug, Clone, Copy)]
pub struct EventMeta<'a> {
    /// Topic without prefix.
    pub topic: &'a str,
    pub partition: i32,
    pub position: u64,
    /// When the command was decided, in microseconds since 1970.
    pub time_us: i64,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum FoldError {
    /// The domain says that this cannot have happened.
    #[error("the event contradicts the row of {key}: {detail}")]
    Contradiction { key: Uuid, detail: String },
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Stored parts of rows, for reading.
pub trait PartStore {
    /// One part of a row, as [`Parts::write`] wrote it.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    fn part(&self, view: u8, key: Uuid, number: u32) -> Result<Option<Vec<u8>>, StoreError>;
}

/// Parts not yet written to the store, by key and number.
pub type UncommittedParts = BTreeMap<(Uuid, u32), Vec<u8>>;

/// Numbered pieces of one row that are read and written one by one, so that a row of any size is never written whole.
pub struct Parts<'a> {
    store: &'a dyn PartStore,
    uncommitted: &'a mut UncommittedParts,
    view: u8,
    key: Uuid,
    bytes_written: usize,
}

impl<'a> Parts<'a> {
    /// The parts of row `key` of `view`.
    pub fn new(store: &'a dyn PartStore, uncommitted: &'a mut UncommittedParts, view: u8, key: Uuid) -> Self {
        Self { store, uncommitted, view, key, bytes_written: 0 }
    }

    pub fn key(&self) -> Uuid {
        self.key
    }

    /// One part; `None` if it has never been written.
    ///
    /// # Errors
    /// [`FoldError::Read`] if the store cannot be read.
    pub fn read(&self, number: u32) -> Result<Option<Vec<u8>>, FoldError> {
        if let Some(bytes) = self.uncommitted.get(&(self.key, number)) {
            return Ok(Some(bytes.clone()));
        }
        Ok(self.store.part(self.view, self.key, number).map_err(ReadError::from)?)
    }

    /// Writes one part; it reaches the store together with its row.
    pub fn write(&mut self, number: u32, bytes: Vec<u8>) {
        self.bytes_written += bytes.len();
        self.uncommitted.insert((self.key, number), bytes);
    }

    pub fn bytes_written(&self) -> usize {
        self.bytes_written
    }
}
