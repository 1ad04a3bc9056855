//! What a record holds: events, writes of the index, outcomes under idempotency keys. Pure.

use uuid::Uuid;

use crate::fields::{Damaged, Fields, put_bytes, put_count};
use crate::frame::{FRAME_BYTES, Frame, Kind, RECORD_BYTES_MAX};

const WHAT: &str = "the body of a record";
/// Least bytes of an event: partition, position, id and three lengths.
const EVENT_BYTES_MIN: usize = 4 + 8 + 16 + 12;
/// Least bytes of a write: a length and whether it puts or removes.
const WRITE_BYTES_MIN: usize = 5;
/// Least bytes of an outcome: key and a length.
const KEY_BYTES_MIN: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub partition: i32,
    pub position: u64,
    pub id: Uuid,
    /// The record key as text.
    pub key: String,
    /// W3C trace context for the record header; empty if there was none.
    pub traceparent: String,
    pub value: Vec<u8>,
}

/// One absolute write of the index: doing it twice is doing it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub key: Vec<u8>,
    /// Its value from now on; none if the key goes.
    pub value: Option<Vec<u8>>,
}

/// What became of the request that had an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyOutcome {
    pub hash: [u8; 16],
    /// The outcome and of which request it was, as the service encodes it.
    pub outcome: Vec<u8>,
}

/// What a group of commands decided, written as a whole or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// In the order of their positions, within each partition.
    pub events: Vec<Event>,
    /// In the order in which they are to be done.
    pub writes: Vec<Write>,
    /// Of all commands of the group that had a key, rejected ones and such that changed nothing included.
    pub keys: Vec<KeyOutcome>,
}

impl Group {
    /// Bytes that this takes in the journal, without what fills its last block up.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let events = self.events.iter().map(Event::bytes).sum::<usize>();
        let writes = self.writes.iter().map(Write::bytes).sum::<usize>();
        let keys = self.keys.iter().map(KeyOutcome::bytes).sum::<usize>();
        FRAME_BYTES + 12 + events + writes + keys
    }

    /// Whether it is small enough for one record.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.bytes() <= RECORD_BYTES_MAX
    }

    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        put_count(to, self.events.len());
        self.events.iter().for_each(|event| event.encode(to));
        put_count(to, self.writes.len());
        self.writes.iter().for_each(|write| write.encode(to));
        put_count(to, self.keys.len());
        self.keys.iter().for_each(|key| key.encode(to));
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Damaged> {
        let mut fields = Fields::of(WHAT, body);
        let events = fields.count(EVENT_BYTES_MIN)?;
        let events = (0..events).map(|_| Event::decode(&mut fields)).collect::<Result<_, _>>()?;
        let writes = fields.count(WRITE_BYTES_MIN)?;
        let writes = (0..writes).map(|_| Write::decode(&mut fields)).collect::<Result<_, _>>()?;
        let keys = fields.count(KEY_BYTES_MIN)?;
        let keys = (0..keys).map(|_| KeyOutcome::decode(&mut fields)).collect::<Result<_, _>>()?;
        fields.end()?;
        Ok(Self { events, writes, keys })
    }
}

impl Event {
    /// Bytes that this takes in a record.
    #[must_use]
    pub fn bytes(&self) -> usize {
        EVENT_BYTES_MIN + self.key.len() + self.traceparent.len() + self.value.len()
    }

    fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.partition.to_be_bytes());
        to.extend_from_slice(&self.position.to_be_bytes());
        to.extend_from_slice(self.id.as_bytes());
        put_bytes(to, self.key.as_bytes());
        put_bytes(to, self.traceparent.as_bytes());
        put_bytes(to, &self.value);
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, Damaged> {
        Ok(Self {
            partition: fields.array().map(i32::from_be_bytes)?,
            position: fields.u64()?,
            id: fields.id()?,
            key: fields.text()?.to_owned(),
            traceparent: fields.text()?.to_owned(),
            value: fields.bytes()?.to_vec(),
        })
    }
}

impl Write {
    fn bytes(&self) -> usize {
        // A value has its length before it.
        WRITE_BYTES_MIN + self.key.len() + self.value.as_ref().map_or(0, |value| 4 + value.len())
    }

    fn encode(&self, to: &mut Vec<u8>) {
        put_bytes(to, &self.key);
        to.push(u8::from(self.value.is_some()));
        if let Some(value) = &self.value {
            put_bytes(to, value);
        }
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, Damaged> {
        let key = fields.bytes()?.to_vec();
        let value = match fields.u8()? {
            0 => None,
            1 => Some(fields.bytes()?.to_vec()),
            _ => return Err(fields.damaged("a write of it neither puts nor removes")),
        };
        Ok(Self { key, value })
    }
}

impl KeyOutcome {
    fn bytes(&self) -> usize {
        KEY_BYTES_MIN + self.outcome.len()
    }

    fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.hash);
        put_bytes(to, &self.outcome);
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, Damaged> {
        Ok(Self { hash: fields.array()?, outcome: fields.bytes()?.to_vec() })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub kind: Kind,
    /// From 1, without a gap.
    pub number: u64,
    /// Up to this record the index was synced when this one was written.
    pub index_synced: u64,
    pub committed_ms: u64,
    pub group: Group,
}

impl Record {
    /// Reads a whole record: its frame and its body, at the beginning of `bytes`.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Frame, Self), Damaged> {
        let frame = Frame::decode(bytes)?;
        let body = body(&frame, bytes)?;
        let Frame { kind, number, index_synced, committed_ms, .. } = frame;
        Ok((frame, Self { kind, number, index_synced, committed_ms, group: Group::decode(body)? }))
    }
}

/// The body behind a frame, if it is whole.
pub(crate) fn body<'b>(frame: &Frame, bytes: &'b [u8]) -> Result<&'b [u8], Damaged> {
    let damaged = |why| Damaged { what: WHAT, why };
    let end = FRAME_BYTES + frame.body_bytes as usize;
    let body = bytes.get(FRAME_BYTES..end).ok_or(damaged("it ends too early"))?;
    if crc32c::crc32c(body) == frame.body_checksum {
        Ok(body)
    } else {
        Err(damaged("its checksum does not fit"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn group() -> Group {
        let event = |partition, position: u64| Event {
            partition,
            position,
            id: Uuid::from_u128(u128::from(position) + 1),
            key: "k".to_owned(),
            traceparent: String::new(),
            value: b"{}".to_vec(),
        };
        Group {
            events: vec![event(0, 7), event(1, 0), event(0, 8)],
            writes: vec![
                Write { key: b"A1".to_vec(), value: Some(b"state".to_vec()) },
                Write { key: b"U1".to_vec(), value: None },
            ],
            keys: vec![KeyOutcome { hash: [1; 16], outcome: b"done".to_vec() }],
        }
    }

    #[test]
    fn a_group_is_read_back_as_it_was_written_and_knows_its_size() {
        let mut body = Vec::new();
        group().encode(&mut body);
        assert_eq!(group().bytes(), FRAME_BYTES + body.len());
        assert_eq!(Group::decode(&body), Ok(group()));
    }

    #[test]
    fn a_body_that_is_cut_or_longer_is_refused() {
        let mut body = Vec::new();
        group().encode(&mut body);
        for end in 0..body.len() {
            assert!(Group::decode(&body[..end]).is_err(), "{end}");
        }
        body.push(0);
        assert!(Group::decode(&body).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_group_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Group::decode(&bytes);
            let _ = Record::decode(&bytes);
        }
    }
}
