//! Records that are no events of their partition's service. They stop nobody.
//!
//! Each is set aside by topic, partition and offset, and counted. Nothing is lost by that, because positions are contiguous: if the next
//! event leaves a gap behind which there are as many set-aside records with keys as positions are missing, those have the positions, and
//! park their keys. If there are not as many, the gap stops the partition. Until the next event nobody knows, so the end is unproven.

use std::collections::HashSet;

use daybook_event::envelope::OpenError;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::admit::{Headers, RecordView};

/// Records with keys behind the last event that are kept, so that they can take positions. A larger gap stops the partition.
const CANDIDATES_MAX: usize = 16;
/// Bytes of a record that is kept with what is in it. Of a larger one only its place is kept, and a reader that would have to park it stops.
pub const RECORD_BYTES_MAX: usize = 128 << 10;
/// Bytes of a key that can be parked.
pub const KEY_BYTES_MAX: usize = 256;
/// Bytes of a UUID that are taken from a hash.
const ID_BYTES: usize = size_of::<Uuid>();

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unowned {
    #[error("no event that can be read: {0}")]
    Unreadable(#[from] OpenError),
    #[error("event {id} comes from {found}, and this partition takes events of {expected} only")]
    Foreign { id: Uuid, found: String, expected: String },
}

/// How much was set aside of one partition: kept with the checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    pub records: u64,
    pub first_offset: i64,
    pub last_offset: i64,
}

impl SetAside {
    /// Counts a record, unless it was counted before; returns whether it was not. A reader that resumes behind the last event meets
    /// again what lies behind it.
    pub fn count(&mut self, offset: i64) -> bool {
        if !self.counts(offset) {
            return false;
        }
        if self.records == 0 {
            self.first_offset = offset;
        }
        self.records += 1;
        self.last_offset = offset;
        true
    }

    /// Whether a record at this offset would be counted.
    pub fn counts(&self, offset: i64) -> bool {
        self.records == 0 || offset > self.last_offset
    }

    /// Whether anything was set aside at or behind this offset.
    pub fn lies_behind(&self, offset: i64) -> bool {
        self.records > 0 && self.last_offset >= offset
    }
}

/// A set-aside record that has a position after all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    pub position: u64,
    pub offset: i64,
    /// Made from its bytes, so that a repetition is recognised.
    pub id: Uuid,
    pub key: String,
    /// Bytes of key, value and headers.
    pub bytes: usize,
    pub value: Option<Vec<u8>>,
    /// Its headers; none of such a record.
    pub headers: Headers,
    pub why: Unowned,
    /// What its own service calls it, if the event behind it says so.
    pub(crate) named: Option<Uuid>,
}

impl Placed {
    fn of(record: &RecordView<'_>, headers: Headers, why: &Unowned) -> Option<Self> {
        let key = key_text(record.key)?;
        let id = made_id(key, record.value, &headers);
        let bytes = bytes(key.as_bytes(), record.value, &headers);
        let is_kept = bytes <= RECORD_BYTES_MAX;
        Some(Self {
            position: 0,
            offset: record.offset,
            id,
            key: key.to_owned(),
            bytes,
            value: record.value.filter(|_| is_kept).map(<[u8]>::to_vec),
            headers: if is_kept { headers } else { Headers::new() },
            why: why.clone(),
            named: None,
        })
    }
}

/// What was set aside behind the last event of a partition.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pending {
    candidates: Vec<Placed>,
    /// Records with keys, more than are kept too.
    keyed: u64,
    /// Made ids of records that have taken positions: such a record may be repeated.
    placed: HashSet<Uuid>,
}

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.keyed == 0
    }

    pub(crate) fn keyed(&self) -> u64 {
        self.keyed
    }

    /// This record has taken a position before.
    pub(crate) fn was_placed(&mut self, id: Uuid) {
        self.placed.insert(id);
    }

    /// What the log holds next is not known any more.
    pub(crate) fn clear(&mut self) {
        (self.candidates, self.keyed) = (Vec::new(), 0);
    }

    /// Keeps a record that may have a position. One that is repeated counts once.
    pub(crate) fn push(&mut self, record: Placed) {
        let is_repeated = |known: &Placed| known.id == record.id;
        if self.placed.contains(&record.id) || self.candidates.iter().any(is_repeated) {
            return;
        }
        self.keyed += 1;
        if self.candidates.len() < CANDIDATES_MAX {
            self.candidates.push(record);
        }
    }

    /// The records that have the positions from `expected` up to before `found`, if there are exactly as many. `previous_id` is what the
    /// event behind them names as the one before it.
    pub(crate) fn fill(&self, expected: u64, found: u64, previous_id: Option<Uuid>) -> Option<Vec<Placed>> {
        let is_filled = self.keyed == found - expected && self.keyed == self.candidates.len() as u64;
        let mut placed = self.candidates.clone();
        for (position, record) in (expected..).zip(&mut placed) {
            record.position = position;
        }
        placed.last_mut()?.named = previous_id;
        is_filled.then_some(placed)
    }
}

/// A candidate, if the record has a key.
pub(crate) fn candidate(
    record: &RecordView<'_>,
    headers: impl FnOnce() -> Headers,
    why: &Unowned,
) -> Option<Box<Placed>> {
    key_text(record.key)?;
    Placed::of(record, headers(), why).map(Box::new)
}

/// The text of a key that can be parked: it can be shown, named on a command line, and be a part of a stored key.
pub fn key_text(key: Option<&[u8]>) -> Option<&str> {
    let text = std::str::from_utf8(key?).ok()?;
    let fits = !text.is_empty() && text.len() <= KEY_BYTES_MAX;
    (fits && !text.chars().any(char::is_control)).then_some(text)
}

fn bytes(key: &[u8], value: Option<&[u8]>, headers: &Headers) -> usize {
    let headers: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    key.len() + value.map_or(0, <[u8]>::len) + headers
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_met_again_counts_once() {
        let mut counted = SetAside::default();
        assert!(counted.count(0) && counted.count(4));
        assert!(!counted.count(0) && !counted.count(4) && counted.count(5));
        assert_eq!(counted, SetAside { records: 3, first_offset: 0, last_offset: 5 });
        assert!(counted.lies_behind(5) && !counted.lies_behind(6));
        assert!(!SetAside::default().lies_behind(0));
    }
}
