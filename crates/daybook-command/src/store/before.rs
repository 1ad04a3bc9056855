//! A directory from before there was a journal, as commit f1d0a6b left it: its outbox, idempotency keys, counters and marks lay
//! in the store. It is read, and what it has is written into a journal and an index beside it; see `upgrade`.

mod upgrade;

use std::path::Path;

use daybook_event::envelope;
use daybook_event::sequence::Reached;
use daybook_journal::Event;
use daybook_store::{Bytes, Store};
pub(crate) use upgrade::{UpgradeError, upgrade};
use uuid::Uuid;

use crate::reconcile::Recorded;
use crate::store::fields::{Damaged, Fields};
use crate::store::keys::{self, Span};
use crate::store::rows::RowError;
use crate::store::rows::{Checkpoint, Counter};

/// sled's file: it lay in the directory `store` itself.
const SLED: &str = "db";

pub(crate) fn is_from_before(store: &Path) -> bool {
    store.join(SLED).exists()
}

#[derive(Debug)]
pub(crate) struct StoreBefore(Store);

impl StoreBefore {
    pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, RowError> {
        Ok(Self(Store::open_as_it_is(dir, cache_bytes)?))
    }

    pub(crate) fn recorded(&self, partition: i32) -> Result<Recorded, RowError> {
        let counter = self.0.get(&keys::counter(partition))?;
        let counter = counter.map(|value| Counter::decode(&value)).transpose()?.unwrap_or_default();
        let sent = self.0.get(&of_partition(b'S', partition))?;
        let sent = sent.map(|value| Fields::of("sent prefix", &value).u64()).transpose()?.unwrap_or(0);
        let first = self.0.scan(&rows_of(partition, 0, u64::MAX), 1)?;
        let kept_from = first.first().and_then(|(key, _)| position(key)).unwrap_or(counter.next);
        Ok(Recorded { counter, sent, kept_from })
    }

    /// The place in the log right behind the last event that was marked as sent.
    fn mark(&self, partition: i32) -> Result<Reached, RowError> {
        let value = self.0.get(&of_partition(b'T', partition))?;
        let mark = value.map(|value| Checkpoint::decode(&value)).transpose()?;
        Ok(mark.unwrap_or_default().reached)
    }

    /// The events of the row that has position `from`, from that one on; none if there is no such row.
    pub(crate) fn events_from(&self, partition: i32, from: u64) -> Result<Vec<Event>, RowError> {
        let Some((first, row)) = self.row_with(partition, from)? else { return Ok(Vec::new()) };
        let mut events = row.events(partition, first)?;
        events.retain(|event| event.position >= from);
        Ok(events)
    }

    /// The row that has a position, if there is one: the last that begins at it or before.
    fn row_with(&self, partition: i32, position: u64) -> Result<Option<(u64, OutboxRow)>, RowError> {
        let last = self.0.last(&rows_of(partition, 0, position.saturating_add(1)))?;
        let row = |(key, value): (Bytes, Bytes)| {
            Ok((self::position(&key).unwrap_or_default(), OutboxRow::decode(&value)?))
        };
        last.map(row).transpose()
    }
}

fn of_partition(kind: u8, partition: i32) -> Vec<u8> {
    [&[kind][..], &partition.to_be_bytes()].concat()
}

/// Outbox rows of a partition that begin at `from` or later and before `to`.
fn rows_of(partition: i32, from: u64, to: u64) -> Span {
    let row = |position: u64| [&of_partition(b'O', partition)[..], &position.to_be_bytes()].concat();
    (row(from), row(to))
}

fn position(key: &[u8]) -> Option<u64> {
    key.get(5..)?.try_into().ok().map(u64::from_be_bytes)
}

fn id_of(value: &[u8]) -> Option<Uuid> {
    envelope::open(Some(value), Vec::new).ok().map(|envelope| envelope.id)
}

const WHAT: &str = "outbox row";

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OutboxRow(Vec<Sealed>);

#[derive(Debug, PartialEq, Eq)]
struct Sealed {
    key: String,
    traceparent: String,
    value: Vec<u8>,
}

impl OutboxRow {
    pub(crate) fn decode(value: &[u8]) -> Result<Self, Damaged> {
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

    pub(crate) fn events(self, partition: i32, first: u64) -> Result<Vec<Event>, Damaged> {
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
    use crate::store::fields::put_bytes;

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
