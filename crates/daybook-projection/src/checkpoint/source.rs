//! How far one partition has been projected, and how that is written.

use std::fmt;
use std::sync::Arc;

use daybook_event::sequence::Reached;
use daybook_stream::SetAside;
use uuid::Uuid;

use crate::codec::{RowError, RowReader, put_varint};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId {
    /// Topic without prefix.
    pub topic: Arc<str>,
    pub partition: i32,
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceCheckpoint {
    /// Kafka's offset of the first record that has not been projected.
    pub next_offset: i64,
    /// The position that must come next; equally the number of events projected.
    pub next_position: u64,
    /// Id of the event projected last.
    pub last_id: Option<Uuid>,
    /// Kafka's offset right behind that event, where reading goes on: at most `next_offset`, before which there may be
    /// claims of writers and records that were skipped.
    pub resume_offset: i64,
    /// Epoch of the writer in force right behind that event.
    pub epoch: u32,
    /// Id of the log that the partition belongs to, if an event of its topic named one.
    pub log_id: Option<Uuid>,
    /// Records before `next_offset` that were set aside: they are no events of the topic's service.
    pub set_aside: SetAside,
}

impl SourceCheckpoint {
    /// Whether records were set aside behind the event projected last: until the next one nobody knows whether they were events.
    #[must_use]
    pub fn is_end_unproven(&self) -> bool {
        self.set_aside.lies_behind(self.resume_offset)
    }

    #[must_use]
    pub fn reached(&self) -> Reached {
        let Self { next_position, last_id, resume_offset, epoch, log_id, .. } = *self;
        Reached { offset: resume_offset, epoch, next_position, last_id, log_id }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Offsets start at 0, so nothing is lost.
        put_varint(&mut bytes, self.next_offset.max(0).unsigned_abs());
        put_varint(&mut bytes, self.next_position);
        put_varint(&mut bytes, self.resume_offset.max(0).unsigned_abs());
        put_varint(&mut bytes, self.epoch.into());
        let SetAside { records, first_offset, last_offset } = self.set_aside;
        // Where something was set aside, the log's id is always there: nil for none.
        let log_id = self.log_id.or((records > 0).then(Uuid::nil));
        for id in [self.last_id, log_id].iter().flatten() {
            bytes.extend_from_slice(id.as_bytes());
        }
        if records > 0 {
            put_varint(&mut bytes, records);
            put_varint(&mut bytes, first_offset.max(0).unsigned_abs());
            put_varint(&mut bytes, last_offset.max(0).unsigned_abs());
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, RowError> {
        let mut reader = RowReader::new(bytes);
        let next_offset = reader.number("next_offset")?;
        let next_position = reader.varint("next_position")?;
        let (resume_offset, epoch) = (reader.number("resume_offset")?, reader.number("epoch")?);
        let last_id = if next_position == 0 { None } else { Some(reader.uuid("last_id")?) };
        let log_id = if reader.is_at_end() { None } else { Some(reader.uuid("log_id")?) };
        let log_id = log_id.filter(|log_id| !log_id.is_nil());
        let mut set_aside = SetAside::default();
        if !reader.is_at_end() {
            set_aside = SetAside {
                records: reader.varint("set_aside")?,
                first_offset: reader.number("first_offset")?,
                last_offset: reader.number("last_offset")?,
            };
            if set_aside.records == 0 {
                return Err(RowError::impossible("set_aside", 0));
            }
        }
        reader.finish()?;
        Ok(Self { next_offset, next_position, last_id, resume_offset, epoch, log_id, set_aside })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_comes_back_from_its_bytes() {
        let id = Some(Uuid::from_u128(7));
        let aside = |records, first_offset, last_offset| SetAside { records, first_offset, last_offset };
        for source in [
            SourceCheckpoint::default(),
            SourceCheckpoint { next_offset: 12, ..SourceCheckpoint::default() },
            SourceCheckpoint {
                next_offset: i64::MAX,
                next_position: 3,
                last_id: id,
                resume_offset: 7,
                epoch: u32::MAX,
                ..SourceCheckpoint::default()
            },
            SourceCheckpoint { next_offset: 4, log_id: id, ..SourceCheckpoint::default() },
            SourceCheckpoint { next_position: 3, last_id: id, log_id: id, ..SourceCheckpoint::default() },
            SourceCheckpoint { set_aside: aside(1, 0, 0), ..SourceCheckpoint::default() },
            SourceCheckpoint {
                last_id: id,
                next_position: 3,
                set_aside: aside(2, 4, 9),
                ..SourceCheckpoint::default()
            },
            SourceCheckpoint { log_id: id, set_aside: aside(3, 5, i64::MAX), ..SourceCheckpoint::default() },
        ] {
            assert_eq!(SourceCheckpoint::decode(&source.encode()), Ok(source));
            let longer = [&source.encode()[..], &[0]].concat();
            assert!(SourceCheckpoint::decode(&longer).is_err());
        }
        assert!(SourceCheckpoint::decode(&[1, 1, 1, 0, 9]).is_err());
        let of_none =
            [&SourceCheckpoint { log_id: id, ..SourceCheckpoint::default() }.encode()[..], &[0, 1, 2]];
        assert!(SourceCheckpoint::decode(&of_none.concat()).is_err());
    }
}
