//! What waits, as bytes: a record, or the change that one view takes from an event.

use daybook_stream::{Headers, Placed, RecordView};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::REASON_CHARS_MAX;
use crate::checkpoint::SourceId;
use crate::codec::{self, RowError};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ParkedRecord {
    pub(crate) source: SourceId,
    pub(crate) key: String,
    pub(crate) position: u64,
    pub(crate) offset: i64,
    /// Id of the event; made from the bytes where they do not tell one.
    pub(crate) id: Uuid,
    /// Whether the envelope tells the id.
    pub(crate) has_event_id: bool,
    /// Of what waits for one view alone; the value is its change then.
    pub(crate) change: Option<ViewChange>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Headers,
    /// Why it could not be projected; none if it waits behind one that could not.
    pub(crate) reason: Option<String>,
}

/// A change that waits because its row is contradicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ViewChange {
    pub(crate) view: u8,
    pub(crate) row: Uuid,
    pub(crate) time_us: i64,
}

impl ViewChange {
    /// Stands for the id of its event, which a replay does not keep: made of the event's place and time, so that the event of another
    /// log is another one.
    pub(crate) fn id(source: &SourceId, position: u64, time_us: i64) -> Uuid {
        Uuid::from_bytes(sum(format!("{source}@{position} {time_us}").as_bytes()))
    }
}

/// Bytes of BLAKE3 over the rest, at the end.
const SUM_BYTES: usize = 8;

impl ParkedRecord {
    pub(super) fn event(
        source: &SourceId,
        record: &RecordView<'_>,
        headers: Headers,
        position: u64,
        id: Uuid,
    ) -> Self {
        let RecordView { offset, key, value } = *record;
        // One that is no text may not wait, as an empty one.
        let key = std::str::from_utf8(key.unwrap_or_default()).unwrap_or_default().to_owned();
        let value = value.map(<[u8]>::to_vec);
        Self { has_event_id: true, value, headers, ..Self::at(source, key, (position, offset), id) }
    }

    pub(super) fn placed(source: &SourceId, placed: &Placed) -> Self {
        let Placed { position, offset, id, ref key, ref value, ref headers, .. } = *placed;
        let (value, headers) = (value.clone(), headers.clone());
        Self { value, headers, ..Self::at(source, key.clone(), (position, offset), id) }
    }

    /// Without a value: only where it is, and under what.
    pub(super) fn at(source: &SourceId, key: String, (position, offset): (u64, i64), id: Uuid) -> Self {
        let (source, has_event_id, change, value) = (source.clone(), false, None, None);
        let (headers, reason) = (Headers::new(), None);
        Self { source, key, position, offset, id, has_event_id, change, value, headers, reason }
    }

    pub(crate) fn row(&self) -> Option<(u8, Uuid)> {
        self.change.map(|change| (change.view, change.row))
    }

    /// The view for which alone it waits; 0 for none.
    pub(crate) fn view(&self) -> u8 {
        self.change.map_or(0, |change| change.view)
    }

    /// Bytes that it takes, but for some numbers.
    pub(crate) fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.len() + self.value.as_ref().map_or(0, Vec::len) + headers
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, RowError> {
        let mut to = Vec::with_capacity(self.bytes() + 64);
        codec::put(self, &mut to)?;
        let sum = sum::<SUM_BYTES>(&to);
        to.extend_from_slice(&sum);
        Ok(to)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, RowError> {
        match bytes.split_last_chunk::<SUM_BYTES>() {
            Some((fields, found)) if sum(fields) == *found => codec::read(fields),
            _ => Err(RowError::impossible("sum", "the record is not what was written")),
        }
    }
}

/// The first bytes of BLAKE3.
pub(crate) fn sum<const BYTES: usize>(bytes: &[u8]) -> [u8; BYTES] {
    let mut sum = [0; BYTES];
    blake3::Hasher::new().update(bytes).finalize_xof().fill(&mut sum);
    sum
}

/// A reason as it is kept.
pub(super) fn shortened(reason: &str) -> String {
    reason.chars().take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_record_comes_back_from_its_bytes(
            (partition, offset, position, id) in (0..i32::MAX, 0..i64::MAX, 0..u64::MAX, any::<u128>()),
            (topic, key, has_event_id) in (".{0,20}", ".{0,20}", any::<bool>()),
            (value, headers, reason) in any::<(Option<Vec<u8>>, Headers, Option<String>)>(),
            change in any::<Option<(u8, u128, i64)>>(),
        ) {
            let source = SourceId { topic: topic.into(), partition };
            let id = Uuid::from_u128(id);
            let change = change.map(|(view, row, time_us)| {
                ViewChange { view, row: Uuid::from_u128(row), time_us }
            });
            let record = ParkedRecord {
                source, key, position, offset, id, has_event_id, change, value, headers, reason,
            };
            prop_assert_eq!(ParkedRecord::decode(&record.encode().unwrap()), Ok(record));
        }

        #[test]
        fn no_flipped_bit_goes_unnoticed(value: Vec<u8>, at in any::<prop::sample::Index>(), bit in 0..8u8) {
            let source = SourceId { topic: "lamps".into(), partition: 1 };
            let (key, id, headers, reason) = ("lamp".to_owned(), Uuid::from_u128(1), Vec::new(), None);
            let (value, has_event_id) = (Some(value), true);
            let change = Some(ViewChange { view: 1, row: id, time_us: -7 });
            let record = ParkedRecord {
                source, key, position: 1, offset: 2, id, has_event_id, change, value, headers, reason,
            };
            let mut bytes = record.encode().unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(ParkedRecord::decode(&bytes).is_err());
        }

        #[test]
        fn damaged_bytes_are_an_error_and_no_panic(bytes: Vec<u8>) {
            let _ = (ParkedRecord::decode(&bytes), codec::read::<ParkedRecord>(&bytes));
        }
    }
}
