//! Keys of the store: one tree, one letter per kind of row, numbers big-endian so that key order is number order.
//!
//! Events that are to be sent and idempotency keys lie in the journal, and nowhere else.
//!
//! | key | value |
//! | --- | --- |
//! | `A` aggregate id | version, state as JSON |
//! | `U` unique key | ids of the aggregates that have it |
//! | `V` | form of the unique keys, number of the record up to which they were built from the states |
//! | `C` partition | next position, id of the last event |
//! | `R` table, id | what is kept of another service's aggregate, and where that was told |
//! | `F` table, partition | checkpoint in another service's topic |
//! | `Q` table, id | the first event of another service's aggregate that cannot be read: why the aggregate is parked |
//! | `W` table, id, position | an event of a parked aggregate |
//! | `D` | digest of all other rows: the store's own (`store::added_up`) |
//! | `N` | number of the last record of the journal that was done here, id of that journal |

use uuid::Uuid;

use crate::store::fields::{Damaged, Fields};

/// Version of keys and values; a store of another version is refused.
pub(crate) const LAYOUT: u32 = 6;

/// All keys that start with these bytes, as bounds of a scan.
pub(crate) type Span = (Vec<u8>, Vec<u8>);

pub(crate) fn aggregate(id: Uuid) -> Vec<u8> {
    key(b'A', &[id.as_bytes()])
}

pub(crate) fn aggregates() -> Span {
    (key(b'A', &[]), key(b'A' + 1, &[]))
}

pub(crate) fn aggregate_id(key: &[u8]) -> Uuid {
    key.get(1..).and_then(|id| Uuid::from_slice(id).ok()).unwrap_or_default()
}

pub(crate) fn number() -> Vec<u8> {
    key(b'N', &[])
}

/// Whether a row is the follower's: what was followed is not in the journal, since the log has it.
pub(crate) fn is_followed(key: &[u8]) -> bool {
    matches!(key.first(), Some(b'R' | b'F' | b'Q' | b'W'))
}

/// Whether a row of a store from before there was a journal is one of today. Its unique keys are built again.
pub(crate) fn is_of_today(key: &[u8]) -> bool {
    matches!(key.first(), Some(b'A' | b'C')) || is_followed(key)
}

pub(crate) fn is_counter(key: &[u8]) -> bool {
    key.first() == Some(&b'C')
}

pub(crate) fn is_checkpoint(key: &[u8]) -> bool {
    key.first() == Some(&b'F')
}

pub(crate) fn unique(text: &str) -> Vec<u8> {
    key(b'U', &[text.as_bytes()])
}

pub(crate) fn all_unique() -> Span {
    (key(b'U', &[]), key(b'U' + 1, &[]))
}

pub(crate) fn is_unique(key: &[u8]) -> bool {
    key.first() == Some(&b'U')
}

pub(crate) fn unique_form() -> Vec<u8> {
    key(b'V', &[])
}

pub(crate) fn counter(partition: i32) -> Vec<u8> {
    key(b'C', &[&partition.to_be_bytes()])
}

pub(crate) fn reference(table: usize, id: Uuid) -> Vec<u8> {
    key(b'R', &[&table_byte(table), id.as_bytes()])
}

pub(crate) fn checkpoint(table: usize, partition: i32) -> Vec<u8> {
    key(b'F', &[&table_byte(table), &partition.to_be_bytes()])
}

pub(crate) fn checkpoints(table: usize) -> Span {
    (checkpoint(table, 0), checkpoint(table, i32::MAX))
}

pub(crate) fn parked(table: usize, id: Uuid) -> Vec<u8> {
    key(b'Q', &[&table_byte(table), id.as_bytes()])
}

pub(crate) fn waiting(table: usize, id: Uuid, position: u64) -> Vec<u8> {
    key(b'W', &[&table_byte(table), id.as_bytes(), &position.to_be_bytes()])
}

/// Parked aggregates of one table, and their events that wait.
pub(crate) fn quarantined(table: usize) -> [Span; 2] {
    [b'Q', b'W'].map(|kind| (key(kind, &[&table_byte(table)]), key(kind, &[&table_byte(table + 1)])))
}

pub(crate) fn waiting_all() -> Span {
    (key(b'W', &[]), key(b'W' + 1, &[]))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WaitingAt {
    pub(crate) table: usize,
    pub(crate) subject: Uuid,
    pub(crate) position: u64,
}

pub(crate) fn waiting_at(key: &[u8]) -> Result<WaitingAt, Damaged> {
    let mut fields = Fields::of("waiting event", key.get(1..).unwrap_or_default());
    let [table] = fields.array()?;
    let subject = fields.id()?;
    Ok(WaitingAt { table: usize::from(table), subject, position: fields.u64()? })
}

/// A service follows a handful of topics.
fn table_byte(table: usize) -> [u8; 1] {
    [table as u8]
}

fn key(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.push(kind);
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}
