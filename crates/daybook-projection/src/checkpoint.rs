//! How far a generation has got: per partition the next offset, the next position and the id applied last.

use std::fmt;
use std::sync::Arc;

use daybook_event::sequence::Reached;
use daybook_stream::SetAside;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::codec::{RowError, RowReader, put_varint};

/// How far all partitions have been projected. Written together with the rows, always.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<SourceEntry>", into = "Vec<SourceEntry>")]
pub struct Checkpoint {
    /// Sorted, so that a partition is found without allocating a key.
    sources: Vec<(SourceId, SourceCheckpoint)>,
}

impl Checkpoint {
    /// Before the first event of all `partitions` of all `topics`.
    #[must_use]
    pub fn zero<'a>(topics: impl IntoIterator<Item = (&'a str, i32)>) -> Self {
        let all = |(topic, partitions): (&str, i32)| {
            let topic: Arc<str> = Arc::from(topic);
            (0..partitions).map(move |partition| SourceId { topic: topic.clone(), partition })
        };
        Self::from_sources(
            topics.into_iter().flat_map(all).map(|source| (source, SourceCheckpoint::default())),
        )
    }

    pub fn from_sources(sources: impl IntoIterator<Item = (SourceId, SourceCheckpoint)>) -> Self {
        let mut sources: Vec<_> = sources.into_iter().collect();
        sources.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Self { sources }
    }

    /// All partitions, by topic and number.
    pub fn sources(&self) -> impl ExactSizeIterator<Item = (&SourceId, &SourceCheckpoint)> {
        self.sources.iter().map(|(id, source)| (id, source))
    }

    /// One partition; `None` if the read model does not project it.
    #[must_use]
    pub fn get(&self, topic: &str, partition: i32) -> Option<&SourceCheckpoint> {
        self.find(topic, partition).ok().map(|index| &self.sources[index].1)
    }

    #[must_use]
    pub fn partitions(&self, topic: &str) -> i32 {
        let count = self.sources.iter().filter(|(source, _)| &*source.topic == topic).count();
        i32::try_from(count).unwrap_or(i32::MAX)
    }

    /// Whether the event of `position` has been projected; `false` for a partition that is not projected at all.
    #[must_use]
    pub fn position_reached(&self, topic: &str, partition: i32, position: u64) -> bool {
        self.get(topic, partition).is_some_and(|source| source.next_position > position)
    }

    /// Whether any event of a topic has been projected.
    pub(super) fn projected_from(&self, topic: &str) -> bool {
        self.sources.iter().any(|(source, at)| &*source.topic == topic && at.next_position > 0)
    }

    /// Whether this one has projected all that `other` has, in every partition.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.sources().all(|(source, at)| {
            let found = self.get(&source.topic, source.partition);
            found.is_some_and(|found| found.next_position >= at.next_position)
        })
    }

    /// Events that `other` has projected and this one has not, over all partitions.
    #[must_use]
    pub fn behind(&self, other: &Self) -> u64 {
        let missing = |(source, at): (&SourceId, &SourceCheckpoint)| {
            let here = self.get(&source.topic, source.partition).map_or(0, |here| here.next_position);
            at.next_position.saturating_sub(here)
        };
        other.sources().map(missing).sum()
    }

    /// Records up to here, over all partitions.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.sources.iter().map(|(_, source)| source.next_offset.unsigned_abs()).sum()
    }

    /// Records that were set aside, over all partitions.
    #[must_use]
    pub fn set_aside(&self) -> u64 {
        self.sources.iter().map(|(_, source)| source.set_aside.records).sum()
    }

    /// Events projected so far, over all partitions.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.sources.iter().map(|(_, source)| source.next_position).sum()
    }

    pub(super) fn set(&mut self, source: SourceId, to: SourceCheckpoint) {
        match self.find(&source.topic, source.partition) {
            Ok(index) => self.sources[index].1 = to,
            Err(index) => self.sources.insert(index, (source, to)),
        }
    }

    fn find(&self, topic: &str, partition: i32) -> Result<usize, usize> {
        self.sources.binary_search_by(|(id, _)| (&*id.topic, id.partition).cmp(&(topic, partition)))
    }
}

/// One partition of a [`Checkpoint`] as JSON has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SourceEntry {
    topic: String,
    partition: i32,
    next_offset: i64,
    next_position: u64,
    last_id: Option<Uuid>,
    resume_offset: i64,
    epoch: u32,
    #[serde(default)]
    log_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    set_aside: Option<SetAsideEntry>,
}

/// Records that were set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct SetAsideEntry {
    records: u64,
    first_offset: i64,
    last_offset: i64,
}

impl SetAsideEntry {
    fn of(set_aside: SetAside) -> Option<Self> {
        let SetAside { records, first_offset, last_offset } = set_aside;
        (records > 0).then_some(Self { records, first_offset, last_offset })
    }

    fn set_aside(self) -> SetAside {
        let Self { records, first_offset, last_offset } = self;
        SetAside { records, first_offset, last_offset }
    }
}

impl From<Vec<SourceEntry>> for Checkpoint {
    fn from(entries: Vec<SourceEntry>) -> Self {
        Self::from_sources(entries.into_iter().map(|entry| {
            let id = SourceId { topic: entry.topic.into(), partition: entry.partition };
            let SourceEntry { next_offset, next_position, last_id, resume_offset, epoch, log_id, .. } = entry;
            let set_aside = entry.set_aside.map(SetAsideEntry::set_aside).unwrap_or_default();
            (
                id,
                SourceCheckpoint {
                    next_offset,
                    next_position,
                    last_id,
                    resume_offset,
                    epoch,
                    log_id,
                    set_aside,
                },
            )
        }))
    }
}

impl From<Checkpoint> for Vec<SourceEntry> {
    fn from(checkpoint: Checkpoint) -> Self {
        let entry = |(id, at): (&SourceId, &SourceCheckpoint)| SourceEntry {
            topic: id.topic.to_string(),
            partition: id.partition,
            next_offset: at.next_offset,
            next_position: at.next_position,
            last_id: at.last_id,
            resume_offset: at.resume_offset,
            epoch: at.epoch,
            log_id: at.log_id,
            set_aside: SetAsideEntry::of(at.set_aside),
        };
        checkpoint.sources().map(entry).collect()
    }
}

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
    fn one_covers_another_only_in_every_partition() {
        let at = |positions: &[u64]| {
            Checkpoint::from_sources((0..).zip(positions).map(|(partition, next_position)| {
                let at = SourceCheckpoint { next_position: *next_position, ..SourceCheckpoint::default() };
                (SourceId { topic: "a".into(), partition }, at)
            }))
        };
        assert!(at(&[3, 6]).covers(&at(&[3, 5])));
        assert!(!at(&[9, 4]).covers(&at(&[3, 5])));
        assert!(!at(&[9]).covers(&at(&[3, 5])));
    }

    #[test]
    fn a_position_is_reached_once_it_has_been_projected() {
        let mut checkpoint = Checkpoint::zero([("users.events", 2)]);
        let source = SourceId { topic: "users.events".into(), partition: 1 };
        assert!(!checkpoint.position_reached("users.events", 1, 0));
        checkpoint.set(
            source,
            SourceCheckpoint { next_offset: 9, next_position: 5, ..SourceCheckpoint::default() },
        );
        assert!(checkpoint.position_reached("users.events", 1, 4));
        assert!(!checkpoint.position_reached("users.events", 1, 5));
        assert!(!checkpoint.position_reached("users.events", 2, 0));
        assert_eq!((checkpoint.partitions("users.events"), checkpoint.events()), (2, 5));
    }
}

#[cfg(test)]
mod json_tests {
    use super::*;

    #[test]
    fn a_checkpoint_comes_back_from_its_json() {
        let mut checkpoint = Checkpoint::zero([("users.events", 2)]);
        let source = SourceId { topic: "users.events".into(), partition: 1 };
        let last_id = Some(Uuid::from_u128(7));
        let log_id = Some(Uuid::from_u128(8));
        let at = SourceCheckpoint {
            next_offset: 9,
            next_position: 5,
            last_id,
            resume_offset: 8,
            epoch: 2,
            log_id,
            set_aside: SetAside { records: 2, first_offset: 3, last_offset: 8 },
        };
        checkpoint.set(source, at);
        let json = serde_json::to_string(&checkpoint).unwrap();
        assert_eq!(serde_json::from_str::<Checkpoint>(&json).unwrap(), checkpoint);
    }
}

#[cfg(test)]
mod source_tests {
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
