//! Records whose position cannot be read.
//!
//! Positions are contiguous, so the next record of the partition tells: if it leaves room for exactly those before it,
//! they have the positions between, and wait like any other. If it leaves none, they were never written by the
//! partition's service, and the projection stops before the first of them. Until that record comes they are kept in
//! memory only, and the checkpoint stays before them; that they wait is noted, so that it is told also where something else
//! stops the projection before they are read again.

use uuid::Uuid;

use super::index::ParkedKey;
use super::record::{self, Headers};
use crate::engine::Incoming;
use crate::source::Source;
use crate::stop::StopReason;

/// Bytes of a UUID that are taken from a hash.
const ID_BYTES: usize = size_of::<Uuid>();

/// A record whose position cannot be read.
#[derive(Debug, Clone)]
pub(crate) struct Unplaced {
    pub(crate) offset: i64,
    /// Made from its bytes, so that a repetition is recognised.
    pub(super) id: Uuid,
    pub(super) reason: StopReason,
    pub(super) headers: Headers,
    key: String,
    value: Option<Vec<u8>>,
}

impl Unplaced {
    pub(super) fn new(record: Incoming<'_>, key: &str, headers: Headers, reason: StopReason) -> Self {
        let value = record.value.map(<[u8]>::to_vec);
        let id = made_id(key, record.value, &headers);
        Self { offset: record.offset, id, reason, headers, key: key.to_owned(), value }
    }

    pub(super) fn as_incoming(&self, source: usize) -> Incoming<'_> {
        let (key, value) = (Some(self.key.as_bytes()), self.value.as_deref());
        Incoming { source, offset: self.offset, key, value }
    }

    pub(super) fn bytes(&self) -> usize {
        record::bytes(self.key.as_bytes(), self.value.as_deref(), &self.headers)
    }
}

/// How the unplaced records of a partition are shown; `before` was shown last. What of it lies where nothing has been read again
/// yet, as after a restart, still waits.
pub(crate) fn shown(source: &Source, before: &[ParkedKey]) -> impl Iterator<Item = ParkedKey> {
    let read_to = source.next_position() + source.unplaced.len() as u64;
    let is_to_come = |key: &&ParkedKey| {
        let is_of_source = (key.topic.as_str(), key.partition) == (&*source.id.topic, source.id.partition);
        is_of_source && !source.is_at_end && key.since_position >= read_to
    };
    let to_come: Vec<_> = before.iter().filter(is_to_come).cloned().collect();
    let read = (source.next_position()..).zip(&source.unplaced).map(|(position, unplaced)| ParkedKey {
        key: unplaced.key.clone(),
        topic: source.id.topic.to_string(),
        partition: source.id.partition,
        since_position: position,
        event_id: None,
        waiting: 1,
        reason: format!("{}; its position is known once another record follows", unplaced.reason.cause()),
    });
    read.chain(to_come)
}

fn made_id(key: &str, value: Option<&[u8]>, headers: &Headers) -> Uuid {
    let mut hasher = blake3::Hasher::new();
    let mut put = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    };
    put(key.as_bytes());
    put(value.unwrap_or_default());
    for (name, value) in headers {
        put(name.as_bytes());
        put(value);
    }
    let mut bytes = [0; ID_BYTES];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..ID_BYTES]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
