//! What the store says about the own topic's partitions: counters, sent prefixes, kept outbox rows.

use schemas::envelope;
use schemas::sequence::Reached;
use uuid::Uuid;

use super::group::GroupError;
use super::keys;
use super::outbox::OutboxRow;
use super::rows::{Counter, decode_reached, decode_sent};
use super::store::Store;

/// One partition as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) counter: Counter,
    /// Positions that Kafka acknowledged, as far as it was noted.
    pub(crate) sent: u64,
    /// First position that an outbox row still has; the counter's next if there is none.
    pub(crate) kept_from: u64,
}

/// Where all partitions stand.
pub(crate) fn counters(store: &Store, partitions: usize) -> Result<Vec<Counter>, GroupError> {
    (0..partitions as i32).map(|partition| counter(store, partition)).collect()
}

fn counter(store: &Store, partition: i32) -> Result<Counter, GroupError> {
    let value = store.get(&keys::counter(partition))?;
    Ok(value.map(|value| Counter::decode(&value)).transpose()?.unwrap_or_default())
}

/// Everything about one partition.
pub(crate) fn recorded(store: &Store, partition: i32) -> Result<Recorded, GroupError> {
    let counter = counter(store, partition)?;
    let sent = store.get(&keys::sent(partition))?;
    let sent = sent.map(|value| decode_sent(&value)).transpose()?.unwrap_or(0);
    let first = store.scan(&keys::outbox_span(partition, 0, u64::MAX), 1)?;
    let kept_from = first.first().and_then(|(key, _)| keys::outbox_position(key));
    Ok(Recorded { counter, sent, kept_from: kept_from.unwrap_or(counter.next) })
}

/// Outbox rows of one partition from the one that has `from` on, with the position each begins at.
pub(crate) fn outbox_rows(
    store: &Store,
    partition: i32,
    from: u64,
    to: u64,
    rows_max: usize,
) -> Result<Vec<(u64, OutboxRow)>, GroupError> {
    let before = store.last(&keys::outbox_span(partition, 0, from.saturating_add(1)))?;
    let first = before.and_then(|(key, _)| keys::outbox_position(&key)).unwrap_or(from);
    let rows = store.scan(&keys::outbox_span(partition, first, to), rows_max)?;
    rows.iter().map(|(key, value)| row(key, value)).collect()
}

/// Outbox rows of one partition that begin at `from` or later.
pub(crate) fn rows_from(
    store: &Store,
    partition: i32,
    from: u64,
    rows_max: usize,
) -> Result<Vec<(u64, OutboxRow)>, GroupError> {
    let rows = store.scan(&keys::outbox_span(partition, from, u64::MAX), rows_max)?;
    rows.iter().map(|(key, value)| row(key, value)).collect()
}

fn row(key: &[u8], value: &[u8]) -> Result<(u64, OutboxRow), GroupError> {
    let row = OutboxRow::decode(value)?;
    Ok((keys::outbox_position(key).unwrap_or_default(), row))
}

/// Id of the event at a position, if its row is still kept.
pub(crate) fn kept_id(store: &Store, partition: i32, position: u64) -> Result<Option<Uuid>, GroupError> {
    let rows = outbox_rows(store, partition, position, position + 1, 1)?;
    let Some((first, row)) = rows.first() else { return Ok(None) };
    let event = position.checked_sub(*first).and_then(|index| row.events.get(index as usize));
    let opened = event.map(|event| envelope::open(Some(&event.value), Vec::new));
    Ok(opened.and_then(Result::ok).map(|envelope| envelope.id))
}

/// How far the log is known to be the own one, per partition: right behind the event that was marked last.
pub(crate) fn marks(store: &Store, partitions: i32) -> Result<Vec<Reached>, GroupError> {
    let mark = |partition| -> Result<Reached, GroupError> {
        let value = store.get(&keys::mark(partition))?;
        Ok(value.map(|value| decode_reached(&value)).transpose()?.unwrap_or_default())
    };
    (0..partitions).map(mark).collect()
}
