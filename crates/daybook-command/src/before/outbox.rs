//! Outbox rows from before: the events of one commit and one partition, as a run of contiguous positions. Pure.

use daybook_journal::Event;

use super::id_of;
use crate::fields::{Damaged, Fields};

const WHAT: &str = "outbox row";

#[derive(Debug, PartialEq, Eq)]
pub(super) struct OutboxRow(Vec<Sealed>);

#[derive(Debug, PartialEq, Eq)]
struct Sealed {
    key: String,
    traceparent: String,
    value: Vec<u8>,
}

impl OutboxRow {
    pub(super) fn decode(value: &[u8]) -> Result<Self, Damaged> {
        let mut fields = Fields::of(WHAT, value);
        // When it was committed.
        fields.u64()?;
        let mut events = Vec::new();
        while !fields.is_empty() {
            let (key, traceparent) = (fields.text()?.to_owned(), fields.text()?.to_owned());
            events.push(Sealed { key, traceparent, value: fields.bytes()?.to_vec() });
        }
        Ok(Self(events))
    }

    /// Its events, the first of which has position `first`.
    pub(super) fn events(self, partition: i32, first: u64) -> Result<Vec<Event>, Damaged> {
        let event = |(position, sealed): (u64, Sealed)| {
            let Sealed { key, traceparent, value } = sealed;
            let id = id_of(&value).ok_or(Damaged { what: WHAT })?;
            Ok(Event { partition, position, id, key, traceparent, value })
        };
        (first..).zip(self.0).map(event).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::put_bytes;

    #[test]
    fn a_row_is_read_and_every_cut_within_an_event_is_noticed() {
        let mut row = 1_234_u64.to_be_bytes().to_vec();
        let mut ends = vec![row.len()];
        for value in [&b"one"[..], b"", b"three"] {
            put_bytes(&mut row, b"key");
            put_bytes(&mut row, b"00-1-2-3");
            put_bytes(&mut row, value);
            ends.push(row.len());
        }
        let whole: Vec<_> = (0..=row.len()).filter(|end| OutboxRow::decode(&row[..*end]).is_ok()).collect();
        assert_eq!(whole, ends);
        let OutboxRow(events) = OutboxRow::decode(&row).unwrap();
        assert_eq!(events.len(), 3);
        assert_eq!((&events[2].key[..], &events[2].traceparent[..]), ("key", "00-1-2-3"));
        assert_eq!(events[2].value, b"three");
    }
}
