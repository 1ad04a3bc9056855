//! Rows of what waits: events of other services that this program cannot read, and all that follow them. Pure.

use uuid::Uuid;

use super::fields::{Damaged, Fields, put_bytes};

/// Characters of a reason that are kept.
const REASON_CHARS_MAX: usize = 500;

/// The first event of another service's aggregate that cannot be read: why the aggregate's standing is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
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
            partition: fields.array().map(i32::from_be_bytes)?,
            position: fields.u64()?,
            event_id: fields.array().map(Uuid::from_bytes)?,
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
            partition: fields.array().map(i32::from_be_bytes)?,
            event_id: fields.array().map(Uuid::from_bytes)?,
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
