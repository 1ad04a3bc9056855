//! Values of the store: how each kind of row is written and read. Pure.

use schemas::sequence::Reached;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::aggregate::Standing;
use super::fields::{Damaged, Fields};
use super::outcome::Written;

/// One aggregate: its version, from 1, and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Versioned<S> {
    /// How many events made this state.
    pub version: u64,
    /// The state.
    pub state: S,
}

impl<S: Serialize> Versioned<S> {
    pub(crate) fn encode(&self) -> serde_json::Result<Vec<u8>> {
        let mut value = self.version.to_be_bytes().to_vec();
        serde_json::to_writer(&mut value, &self.state)?;
        Ok(value)
    }
}

impl<S: DeserializeOwned> Versioned<S> {
    pub(crate) fn decode(value: &[u8]) -> Result<Self, Damaged> {
        let mut fields = Fields::of("aggregate", value);
        let version = fields.u64()?;
        let damaged = fields.damaged();
        Ok(Self { version, state: serde_json::from_slice(fields.rest()).map_err(|_| damaged)? })
    }
}

/// Where a partition of the own topic stands: what the next event gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counter {
    /// Position of the next event; equally the number of events.
    pub next: u64,
    /// Id of the last event.
    pub last_id: Option<Uuid>,
}

impl Counter {
    pub(crate) fn encode(&self) -> Vec<u8> {
        [&self.next.to_be_bytes()[..], self.last_id.unwrap_or_default().as_bytes()].concat()
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, Damaged> {
        let mut fields = Fields::of("position counter", value);
        Ok(Self { next: fields.u64()?, last_id: fields.id()? })
    }
}

/// The write that counts an event.
#[cfg(test)]
pub(crate) fn counted(event: &daybook_journal::Event) -> daybook_journal::Write {
    let counter = Counter { next: event.position + 1, last_id: Some(event.id) };
    daybook_journal::Write { key: super::keys::counter(event.partition), value: Some(counter.encode()) }
}

/// The aggregate that has a unique key.
pub(crate) fn decode_owner(value: &[u8]) -> Result<Uuid, Damaged> {
    Fields::of("unique key", value).array().map(Uuid::from_bytes)
}

/// What another service's aggregate is, and which event of its topic said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) standing: Standing,
    pub(crate) said_at: Written,
}

impl Reference {
    /// `Unknown` is never stored.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let standing = match self.standing {
            Standing::Unknown => return None,
            Standing::Present => 1,
            Standing::Gone => 2,
        };
        let Written { partition, position } = self.said_at;
        Some([&[standing][..], &partition.to_be_bytes(), &position.to_be_bytes()].concat())
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, Damaged> {
        let mut fields = Fields::of("reference row", value);
        let standing = match fields.array()? {
            [1] => Standing::Present,
            [2] => Standing::Gone,
            _ => return Err(fields.damaged()),
        };
        let partition = fields.array().map(i32::from_be_bytes)?;
        Ok(Self { standing, said_at: Written { partition, position: fields.u64()? } })
    }
}

/// Where a reader stands: in another service's topic, or at the end of the own one.
pub(crate) fn encode_reached(reached: &Reached) -> Vec<u8> {
    let Reached { offset, epoch, next_position, last_id } = reached;
    let (offset, position, id) =
        (offset.to_be_bytes(), next_position.to_be_bytes(), last_id.unwrap_or_default());
    [&offset[..], &position, id.as_bytes(), &epoch.to_be_bytes()].concat()
}

/// A checkpoint from before writers had epochs ends earlier: none was in force then.
pub(crate) fn decode_reached(value: &[u8]) -> Result<Reached, Damaged> {
    let mut fields = Fields::of("checkpoint", value);
    let (offset, next_position, last_id) = (fields.i64()?, fields.u64()?, fields.id()?);
    let epoch = if fields.is_empty() { 0 } else { fields.u32()? };
    Ok(Reached { offset, epoch, next_position, last_id })
}
