//! Outbox rows: the events of one commit and one partition, sealed, as a run of contiguous positions. Pure.
//!
//! One row per run instead of one per event: sled pays per key, and the events of one commit leave together anyway.

use std::ops::Range;

use super::fields::{Damaged, Fields, put_bytes};

/// Most bytes of sealed events in one row. Rows stay small because sled moves large pages into files of their own, which
/// it does not sync; see `store`.
pub(crate) const ROW_BYTES_MAX: usize = 8 * 1024;

/// One sealed event, ready for Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SealedEvent {
    /// The record key as text.
    pub(crate) key: String,
    /// W3C trace context for the record header; empty if there was none.
    pub(crate) traceparent: String,
    /// The record value.
    pub(crate) value: Vec<u8>,
}

/// Events of one row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OutboxRow {
    /// When it was committed, in milliseconds since 1970: what old rows are pruned by.
    pub(crate) committed_ms: u64,
    /// In the order of their positions.
    pub(crate) events: Vec<SealedEvent>,
}

impl OutboxRow {
    pub(crate) fn encode(committed_ms: u64, events: &[SealedEvent]) -> Vec<u8> {
        let bytes: usize = events.iter().map(|event| event.value.len() + 64).sum();
        let mut value = Vec::with_capacity(8 + bytes);
        value.extend_from_slice(&committed_ms.to_be_bytes());
        for event in events {
            put_bytes(&mut value, event.key.as_bytes());
            put_bytes(&mut value, event.traceparent.as_bytes());
            put_bytes(&mut value, &event.value);
        }
        value
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, Damaged> {
        let mut fields = Fields::of("outbox row", value);
        let committed_ms = fields.u64()?;
        let mut events = Vec::new();
        while !fields.is_empty() {
            let (key, traceparent) = (fields.text()?.to_owned(), fields.text()?.to_owned());
            events.push(SealedEvent { key, traceparent, value: fields.bytes()?.to_vec() });
        }
        Ok(Self { committed_ms, events })
    }
}

/// Cuts events into rows of at most [`ROW_BYTES_MAX`]; a single larger event is a row of its own.
pub(crate) fn rows(events: &[SealedEvent]) -> Vec<Range<usize>> {
    let mut rows: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (index, event) in events.iter().enumerate() {
        bytes += event.value.len();
        match rows.last_mut() {
            Some(row) if bytes <= ROW_BYTES_MAX => row.end = index + 1,
            _ => {
                bytes = event.value.len();
                rows.push(index..index + 1);
            }
        }
    }
    rows
}
