//! Keys of the store: one tree, one letter per kind of row, numbers big-endian so that key order is number order.
//!
//! | key | value |
//! | --- | --- |
//! | `A` aggregate id | version, state as JSON |
//! | `U` unique key | aggregate id |
//! | `I` hash of idempotency key | fingerprint, expiry, outcome |
//! | `X` expiry, hash | hashes of the idempotency keys that expire then |
//! | `O` partition, position | outbox row: a run of sealed events from that position on |
//! | `C` partition | next position, id of the last event |
//! | `S` partition | number of positions that Kafka has acknowledged |
//! | `T` partition | place in the log right behind the last event that was marked as sent |
//! | `R` table, id | standing of another service's aggregate, and where that was said |
//! | `F` table, partition | checkpoint in another service's topic |
//! | `Q` table, id | the first event of another service's aggregate that cannot be read: why the aggregate is parked |
//! | `W` table, id, position | an event of a parked aggregate |
//! | `N` | number of the last record of the journal that was done here |
//! | `P` number | bytes written for trial after a failure, removed at once |

use uuid::Uuid;

use super::fields::{Damaged, Fields};

/// Version of keys and values; a store of another version is refused.
pub(super) const LAYOUT: u32 = 3;

/// All keys that start with these bytes, as bounds of a scan.
pub(crate) type Span = (Vec<u8>, Vec<u8>);

pub(crate) fn aggregate(id: Uuid) -> Vec<u8> {
    key(b'A', &[id.as_bytes()])
}

/// All aggregates.
pub(crate) fn aggregates() -> Span {
    (key(b'A', &[]), key(b'A' + 1, &[]))
}

/// The aggregate a row is about.
pub(crate) fn aggregate_id(key: &[u8]) -> Uuid {
    key.get(1..).and_then(|id| Uuid::from_slice(id).ok()).unwrap_or_default()
}

/// The last record of the journal that was done.
pub(crate) fn number() -> Vec<u8> {
    key(b'N', &[])
}

/// Whether a row is the follower's: what was followed is not in the journal, since the log has it.
pub(crate) fn is_followed(key: &[u8]) -> bool {
    matches!(key.first(), Some(b'R' | b'F' | b'Q' | b'W'))
}

/// Whether a row is a checkpoint of the follower.
pub(crate) fn is_checkpoint(key: &[u8]) -> bool {
    key.first() == Some(&b'F')
}

pub(crate) fn trial(number: u8) -> Vec<u8> {
    key(b'P', &[&[number]])
}

pub(crate) fn unique(text: &str) -> Vec<u8> {
    key(b'U', &[text.as_bytes()])
}

pub(crate) fn idempotency(hash: &[u8; 16]) -> Vec<u8> {
    key(b'I', &[hash])
}

/// All rows of idempotency keys after this one, or from the first on.
pub(crate) fn idempotencies(after: Option<&[u8]>) -> Span {
    let from = after.map_or_else(|| key(b'I', &[]), |after| [after, &[0]].concat());
    (from, key(b'I' + 1, &[]))
}

pub(crate) fn is_idempotency(key: &[u8]) -> bool {
    key.first() == Some(&b'I')
}

pub(crate) fn expiry(expires_ms: u64, hash: &[u8; 16]) -> Vec<u8> {
    key(b'X', &[&expires_ms.to_be_bytes(), hash])
}

/// All expiry rows; those that expire first come first.
pub(crate) fn expiries() -> Span {
    (key(b'X', &[]), key(b'X' + 1, &[]))
}

/// When an expiry row expires.
pub(crate) fn expires_ms(key: &[u8]) -> u64 {
    let bytes = key.get(1..9).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u64::from_be_bytes).unwrap_or_default()
}

pub(crate) fn outbox(partition: i32, position: u64) -> Vec<u8> {
    key(b'O', &[&partition.to_be_bytes(), &position.to_be_bytes()])
}

/// Rows of one partition that begin at `from` or later and before `to`.
pub(crate) fn outbox_span(partition: i32, from: u64, to: u64) -> Span {
    (outbox(partition, from), outbox(partition, to))
}

/// The position at which an outbox row begins.
pub(crate) fn outbox_position(key: &[u8]) -> Option<u64> {
    key.get(5..)?.try_into().ok().map(u64::from_be_bytes)
}

pub(crate) fn counter(partition: i32) -> Vec<u8> {
    key(b'C', &[&partition.to_be_bytes()])
}

pub(crate) fn sent(partition: i32) -> Vec<u8> {
    key(b'S', &[&partition.to_be_bytes()])
}

pub(crate) fn mark(partition: i32) -> Vec<u8> {
    key(b'T', &[&partition.to_be_bytes()])
}

pub(crate) fn reference(table: usize, id: Uuid) -> Vec<u8> {
    key(b'R', &[&table_byte(table), id.as_bytes()])
}

pub(crate) fn checkpoint(table: usize, partition: i32) -> Vec<u8> {
    key(b'F', &[&table_byte(table), &partition.to_be_bytes()])
}

/// All checkpoints of one table.
pub(crate) fn checkpoints(table: usize) -> Span {
    (checkpoint(table, 0), checkpoint(table, i32::MAX))
}

pub(crate) fn parked(table: usize, id: Uuid) -> Vec<u8> {
    key(b'Q', &[&table_byte(table), id.as_bytes()])
}

pub(crate) fn waiting(table: usize, id: Uuid, position: u64) -> Vec<u8> {
    key(b'W', &[&table_byte(table), id.as_bytes(), &position.to_be_bytes()])
}

/// All events that wait, each aggregate's in order.
pub(crate) fn waiting_all() -> Span {
    (key(b'W', &[]), key(b'W' + 1, &[]))
}

/// Whose event waits, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WaitingAt {
    pub(crate) table: usize,
    pub(crate) subject: Uuid,
    pub(crate) position: u64,
}

/// What the key of an event that waits says.
pub(crate) fn waiting_at(key: &[u8]) -> Result<WaitingAt, Damaged> {
    let mut fields = Fields::of("waiting event", key.get(1..).unwrap_or_default());
    let [table] = fields.array()?;
    let subject = fields.array().map(Uuid::from_bytes)?;
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
