//! What waits, as bytes: a record, or the change that one view takes from an event.

use daybook_stream::Headers;
use uuid::Uuid;

use super::REASON_CHARS_MAX;
use crate::checkpoint::SourceId;
use crate::codec::{RowError, RowReader, put_signed, put_text, put_varint};

#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ViewChange {
    pub(crate) view: u8,
    pub(crate) row: Uuid,
    pub(crate) time_us: i64,
}

impl ViewChange {
    /// Stands for the id of its event, which a replay does not keep: made of the event's place and time, so that the event of another
    /// log is another one.
    pub(crate) fn id(source: &SourceId, position: u64, time_us: i64) -> Uuid {
        let mut hasher = blake3::Hasher::new();
        hasher.update(source.to_string().as_bytes());
        hasher.update(&position.to_le_bytes()).update(&time_us.to_le_bytes());
        let mut id = [0; size_of::<Uuid>()];
        hasher.finalize_xof().fill(&mut id);
        Uuid::from_bytes(id)
    }
}

/// Bytes of BLAKE3 over the rest, at the end.
const SUM_BYTES: usize = 8;
const HAS_EVENT_ID: u8 = 1;
const HAS_VALUE: u8 = 2;
const HAS_REASON: u8 = 4;
const HAS_CHANGE: u8 = 8;
const ALL: u8 = HAS_EVENT_ID | HAS_VALUE | HAS_REASON | HAS_CHANGE;

impl ParkedRecord {
    /// View and row of a change.
    pub(crate) fn row(&self) -> Option<(u8, Uuid)> {
        self.change.map(|change| (change.view, change.row))
    }

    /// The view for which alone it waits; 0 for none.
    pub(crate) fn view(&self) -> u8 {
        self.change.map_or(0, |change| change.view)
    }

    /// Bytes that it takes, but for some numbers.
    pub(crate) fn bytes(&self) -> usize {
        bytes(self.key.as_bytes(), self.value.as_deref(), &self.headers)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut to = Vec::with_capacity(self.bytes() + 64);
        let bit = |has: bool, bit: u8| if has { bit } else { 0 };
        to.push(
            bit(self.has_event_id, HAS_EVENT_ID)
                | bit(self.value.is_some(), HAS_VALUE)
                | bit(self.reason.is_some(), HAS_REASON)
                | bit(self.change.is_some(), HAS_CHANGE),
        );
        put_text(&mut to, &self.source.topic);
        // Neither partitions nor offsets are below 0.
        put_varint(&mut to, u64::from(self.source.partition.unsigned_abs()));
        put_varint(&mut to, self.offset.unsigned_abs());
        put_varint(&mut to, self.position);
        put_text(&mut to, &self.key);
        to.extend_from_slice(self.id.as_bytes());
        if let Some(ViewChange { view, row, time_us }) = self.change {
            to.push(view);
            to.extend_from_slice(row.as_bytes());
            put_signed(&mut to, time_us);
        }
        self.value.iter().for_each(|value| put_bytes(&mut to, value));
        self.reason.iter().for_each(|reason| put_text(&mut to, reason));
        put_varint(&mut to, self.headers.len() as u64);
        for (name, value) in &self.headers {
            put_text(&mut to, name);
            put_bytes(&mut to, value);
        }
        let sum = sum(&to);
        to.extend_from_slice(&sum);
        to
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, RowError> {
        match bytes.split_last_chunk::<SUM_BYTES>() {
            Some((fields, found)) if sum(fields) == *found => Self::decode_fields(fields),
            _ => Err(RowError::impossible("sum", "the record is not what was written")),
        }
    }

    fn decode_fields(bytes: &[u8]) -> Result<Self, RowError> {
        let mut reader = RowReader::new(bytes);
        let has = reader.byte("fields")?;
        if has & !ALL != 0 {
            return Err(RowError::impossible("fields", has));
        }
        let source = SourceId { topic: reader.text("topic")?.into(), partition: reader.number("partition")? };
        let offset = reader.number("offset")?;
        let position = reader.varint("position")?;
        let key = reader.text("key")?.to_owned();
        let id = reader.uuid("id")?;
        let change = (has & HAS_CHANGE != 0).then(|| take_change(&mut reader)).transpose()?;
        let value = (has & HAS_VALUE != 0).then(|| take_bytes(&mut reader, "value")).transpose()?;
        let reason = (has & HAS_REASON != 0).then(|| reader.text("reason")).transpose()?;
        let reason = reason.map(str::to_owned);
        let mut headers = Vec::new();
        for _ in 0..reader.varint("headers")? {
            let name = reader.text("header")?.to_owned();
            headers.push((name, take_bytes(&mut reader, "header")?));
        }
        reader.finish()?;
        let has_event_id = has & HAS_EVENT_ID != 0;
        Ok(Self { source, key, position, offset, id, has_event_id, change, value, headers, reason })
    }
}

fn sum(bytes: &[u8]) -> [u8; SUM_BYTES] {
    let mut sum = [0; SUM_BYTES];
    sum.copy_from_slice(&blake3::hash(bytes).as_bytes()[..SUM_BYTES]);
    sum
}

/// Bytes of a record's key, value and headers.
pub(super) fn bytes(key: &[u8], value: Option<&[u8]>, headers: &Headers) -> usize {
    let headers: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    key.len() + value.map_or(0, <[u8]>::len) + headers
}

/// A reason as it is kept.
pub(super) fn shortened(reason: &str) -> String {
    reason.chars().take(REASON_CHARS_MAX).collect()
}

fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

fn take_change(reader: &mut RowReader<'_>) -> Result<ViewChange, RowError> {
    let (view, row) = (reader.byte("view")?, reader.uuid("row")?);
    Ok(ViewChange { view, row, time_us: reader.signed("time")? })
}

fn take_bytes(reader: &mut RowReader<'_>, field: &'static str) -> Result<Vec<u8>, RowError> {
    let length = reader.number(field)?;
    Ok(reader.take(length, field)?.to_vec())
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
            prop_assert_eq!(ParkedRecord::decode(&record.encode()), Ok(record));
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
            let mut bytes = record.encode();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(ParkedRecord::decode(&bytes).is_err());
        }

        #[test]
        fn damaged_bytes_are_an_error_and_no_panic(bytes: Vec<u8>) {
            let _ = (ParkedRecord::decode(&bytes), ParkedRecord::decode_fields(&bytes));
        }
    }
}
