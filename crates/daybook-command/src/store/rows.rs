//! Values of the store: how each kind of row is written and read, also those of events that wait. Pure.

use daybook_event::sequence::Reached;
use daybook_journal::ReadError;
use daybook_store::StoreError;
use daybook_stream::SetAside;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::store::fields::{Damaged, Fields, put_bytes};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Versioned<S> {
    pub version: u64,
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
        let damaged = Damaged::of(&fields);
        Ok(Self { version, state: serde_json::from_slice(fields.rest()).map_err(|_| damaged)? })
    }
}

/// Where a partition of the own topic stands: what the next event gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counter {
    pub next: u64,
    pub last_id: Option<Uuid>,
}

impl Counter {
    pub(crate) fn encode(&self) -> Vec<u8> {
        [&self.next.to_be_bytes()[..], self.last_id.unwrap_or_default().as_bytes()].concat()
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, Damaged> {
        let mut fields = Fields::of("position counter", value);
        Ok(Self { next: fields.u64()?, last_id: fields.id_or_none()? })
    }
}

/// The write that counts an event.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn counted(event: &daybook_journal::Event) -> daybook_journal::Write {
    let counter = Counter { next: event.position + 1, last_id: Some(event.id) };
    daybook_journal::Write {
        key: crate::store::keys::counter(event.partition),
        value: Some(counter.encode()),
    }
}

/// Most aggregates that are named as those that have one key.
const OWNERS_MAX: usize = 500;

/// Who has a unique key: one aggregate, but where an earlier program took for two keys what is one today, or the log has two
/// that nobody compared. They are in the order of their ids, which is that in which they were made. Nobody else gets the key
/// before each of them has given it up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Owners {
    ids: Vec<Uuid>,
    /// There are more than are named, so that it cannot be told when the last one has given it up: the key stays taken until
    /// the keys are built again.
    has_more: bool,
}

impl Owners {
    const MORE: &[u8] = &[1];

    /// None if nobody has it.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let ids = self.ids.iter().flat_map(|id| *id.as_bytes());
        let value: Vec<u8> = ids.chain(self.has_more.then_some(Self::MORE[0])).collect();
        (!value.is_empty()).then_some(value)
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, Damaged> {
        let (ids, rest) = value.as_chunks();
        let has_more = rest == Self::MORE;
        if !(rest.is_empty() || has_more) || value.is_empty() || ids.len() > OWNERS_MAX {
            return Err(Damaged { what: "unique key" });
        }
        Ok(Self { ids: ids.iter().copied().map(Uuid::from_bytes).collect(), has_more })
    }

    /// Whoever has it longest.
    pub(crate) fn first(&self) -> Option<Uuid> {
        self.ids.first().copied()
    }

    pub(crate) fn is_of_others(&self, id: Uuid) -> bool {
        self.has_more || self.ids.iter().any(|owner| *owner != id)
    }

    pub(crate) fn add(&mut self, id: Uuid) {
        if let Err(place) = self.ids.binary_search(&id) {
            self.ids.insert(place, id);
            self.has_more |= self.ids.len() > OWNERS_MAX;
            self.ids.truncate(OWNERS_MAX);
        }
    }

    pub(crate) fn remove(&mut self, id: Uuid) {
        self.ids.retain(|owner| *owner != id);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UniqueForm {
    /// As [`UniqueKeys::form`](crate::aggregate::UniqueKeys::form) names it.
    pub(crate) form: u32,
    /// They were built from the states as this record of the journal left them; earlier ones have no say in them.
    pub(crate) built_at: u64,
}

impl UniqueForm {
    pub(crate) fn encode(&self) -> Vec<u8> {
        [&self.form.to_be_bytes()[..], &self.built_at.to_be_bytes()].concat()
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, Damaged> {
        let mut fields = Fields::of("form of unique keys", value);
        Ok(Self { form: fields.u32()?, built_at: fields.u64()? })
    }
}

/// Where a reader stands in another service's topic, what of it was set aside, and the form of what it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Checkpoint {
    pub(crate) reached: Reached,
    pub(crate) set_aside: SetAside,
    /// See [`Followed::form`](crate::references::Followed).
    pub(crate) form: u32,
}

impl Checkpoint {
    /// What is 0 at the end is left out.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Reached { offset, epoch, next_position, last_id, log_id } = self.reached;
        let (last_id, log_id) = (last_id.unwrap_or_default(), log_id.unwrap_or_default());
        let (offset, position) = (offset.to_be_bytes(), next_position.to_be_bytes());
        let mut value =
            [&offset[..], &position, last_id.as_bytes(), &epoch.to_be_bytes(), log_id.as_bytes()].concat();
        let SetAside { records, first_offset, last_offset } = self.set_aside;
        if records > 0 || self.form > 0 {
            value.extend_from_slice(&records.to_be_bytes());
            value.extend_from_slice(&first_offset.to_be_bytes());
            value.extend_from_slice(&last_offset.to_be_bytes());
        }
        if self.form > 0 {
            value.extend_from_slice(&self.form.to_be_bytes());
        }
        value
    }

    /// A checkpoint from before writers had epochs ends earlier: none was in force then. So does one from before events named the
    /// one before them.
    pub(crate) fn decode(value: &[u8]) -> Result<Self, Damaged> {
        let mut fields = Fields::of("checkpoint", value);
        let (offset, next_position, last_id) = (fields.i64()?, fields.u64()?, fields.id_or_none()?);
        let epoch = if fields.is_empty() { 0 } else { fields.u32()? };
        let log_id = if fields.is_empty() { None } else { fields.id_or_none()? };
        let mut set_aside = SetAside::default();
        if !fields.is_empty() {
            set_aside =
                SetAside { records: fields.u64()?, first_offset: fields.i64()?, last_offset: fields.i64()? };
        }
        let form = if fields.is_empty() { 0 } else { fields.u32()? };
        let reached = Reached { offset, epoch, next_position, last_id, log_id };
        Ok(Self { reached, set_aside, form })
    }
}

/// Why what is stored cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Damaged(#[from] Damaged),
    #[error("the journal cannot be read: {0}")]
    Journal(#[from] ReadError),
}

impl From<daybook_journal::Damaged> for RowError {
    fn from(damaged: daybook_journal::Damaged) -> Self {
        Self::Damaged(damaged.into())
    }
}

impl RowError {
    /// Whether what is there is not what was written: another attempt would not help.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Store(error) => error.is_damage(),
            Self::Damaged(_) => true,
            Self::Journal(error) => matches!(error, ReadError::Damaged { .. }),
        }
    }
}

const REASON_CHARS_MAX: usize = 500;

/// The first event of another service's aggregate that cannot be read: why the aggregate's standing is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Parked {
    pub(crate) partition: i32,
    pub(crate) position: u64,
    pub(crate) event_id: Uuid,
    pub(crate) reason: String,
}

impl Parked {
    pub(crate) fn new(partition: i32, position: u64, event_id: Uuid, reason: &str) -> Self {
        Self { partition, position, event_id, reason: reason.chars().take(REASON_CHARS_MAX).collect() }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let (partition, position) = (self.partition.to_be_bytes(), self.position.to_be_bytes());
        let mut value = [&partition[..], &position, self.event_id.as_bytes()].concat();
        put_bytes(&mut value, self.reason.as_bytes());
        value
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, Damaged> {
        let mut fields = Fields::of("parked aggregate", value);
        Ok(Self {
            partition: fields.i32()?,
            position: fields.u64()?,
            event_id: fields.id()?,
            reason: fields.text()?.to_owned(),
        })
    }
}

/// An event that waits; its topic, aggregate and position are in its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WaitingEvent<'a> {
    pub(crate) partition: i32,
    pub(crate) event_id: Uuid,
    pub(crate) event_type: &'a str,
    /// JSON; of a record that was set aside, why it is no event.
    pub(crate) data: &'a str,
}

impl<'a> WaitingEvent<'a> {
    /// A record that was set aside and has a position: of it only why it is no event is kept, and an id that was made from its bytes.
    pub(crate) fn set_aside(partition: i32, event_id: Uuid, why: &'a str) -> Self {
        Self { partition, event_id, event_type: "", data: why }
    }

    /// Whether it is such a record. No type of an event is empty.
    pub(crate) fn is_set_aside(&self) -> bool {
        self.event_type.is_empty()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut value = [&self.partition.to_be_bytes()[..], self.event_id.as_bytes()].concat();
        put_bytes(&mut value, self.event_type.as_bytes());
        put_bytes(&mut value, self.data.as_bytes());
        value
    }

    pub(crate) fn decode(value: &'a [u8]) -> Result<Self, Damaged> {
        let mut fields = Fields::of("waiting event", value);
        Ok(Self {
            partition: fields.i32()?,
            event_id: fields.id()?,
            event_type: fields.text()?,
            data: fields.text()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_they_were_written_and_cut_ones_are_damaged() {
        let parked = Parked::new(2, 7, Uuid::from_u128(9), &"x".repeat(REASON_CHARS_MAX + 1));
        assert_eq!(parked.reason.len(), REASON_CHARS_MAX);
        let row = parked.encode();
        assert_eq!(Parked::decode(&row), Ok(parked));
        assert!(Parked::decode(&row[..row.len() - 1]).is_err());
        let event =
            WaitingEvent { partition: 2, event_id: Uuid::from_u128(9), event_type: "t.v9", data: "{}" };
        let row = event.encode();
        assert_eq!(WaitingEvent::decode(&row), Ok(event));
        assert!(WaitingEvent::decode(&row[..row.len() - 1]).is_err());
    }
}
