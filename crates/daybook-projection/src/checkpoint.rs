//! How far a generation has got: per partition the next offset, the next position and the id applied last.

use std::fmt;
use std::sync::Arc;

use daybook_event::sequence::Reached;
use daybook_stream::SetAside;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How far all partitions have been projected. Written together with the rows, always.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<SourceEntry>", into = "Vec<SourceEntry>")]
pub struct Checkpoint {
    /// Sorted, so that a partition is found without allocating a key.
    sources: Vec<(SourceId, SourceCheckpoint)>,
}

impl Checkpoint {
    /// Before the first event of all `partitions` of all `topics`.
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

    pub fn sources(&self) -> impl ExactSizeIterator<Item = (&SourceId, &SourceCheckpoint)> {
        self.sources.iter().map(|(id, source)| (id, source))
    }

    /// One partition; `None` if the read model does not project it.
    pub fn get(&self, topic: &str, partition: i32) -> Option<&SourceCheckpoint> {
        self.find(topic, partition).ok().map(|index| &self.sources[index].1)
    }

    pub fn partitions(&self, topic: &str) -> i32 {
        let count = self.sources.iter().filter(|(source, _)| &*source.topic == topic).count();
        i32::try_from(count).unwrap_or(i32::MAX)
    }

    /// Whether the event of `position` has been projected; `false` for a partition that is not projected at all.
    pub fn position_reached(&self, topic: &str, partition: i32, position: u64) -> bool {
        self.get(topic, partition).is_some_and(|source| source.next_position > position)
    }

    pub(super) fn projected_from(&self, topic: &str) -> bool {
        self.sources.iter().any(|(source, at)| &*source.topic == topic && at.next_position > 0)
    }

    /// Whether this one has projected all that `other` has, in every partition.
    pub fn covers(&self, other: &Self) -> bool {
        other.sources().all(|(source, at)| {
            let found = self.get(&source.topic, source.partition);
            found.is_some_and(|found| found.next_position >= at.next_position)
        })
    }

    /// Events that `other` has projected and this one has not, over all partitions.
    pub fn behind(&self, other: &Self) -> u64 {
        let missing = |(source, at): (&SourceId, &SourceCheckpoint)| {
            let here = self.get(&source.topic, source.partition).map_or(0, |here| here.next_position);
            at.next_position.saturating_sub(here)
        };
        other.sources().map(missing).sum()
    }

    /// Records up to here, over all partitions.
    pub fn records(&self) -> u64 {
        self.sources.iter().map(|(_, source)| source.next_offset.unsigned_abs()).sum()
    }

    /// Records that were set aside, over all partitions.
    pub fn set_aside(&self) -> u64 {
        self.sources.iter().map(|(_, source)| source.set_aside.records).sum()
    }

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

/// One partition of a [`Checkpoint`], as JSON has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct SourceEntry {
    #[serde(flatten)]
    source: SourceId,
    #[serde(flatten)]
    at: SourceCheckpoint,
}

impl From<Vec<SourceEntry>> for Checkpoint {
    fn from(entries: Vec<SourceEntry>) -> Self {
        Self::from_sources(entries.into_iter().map(|SourceEntry { source, at }| (source, at)))
    }
}

impl From<Checkpoint> for Vec<SourceEntry> {
    fn from(checkpoint: Checkpoint) -> Self {
        checkpoint.sources.into_iter().map(|(source, at)| SourceEntry { source, at }).collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCheckpoint {
    /// Kafka's offset of the first record that has not been projected.
    pub next_offset: i64,
    /// The position that must come next; equally the number of events projected.
    pub next_position: u64,
    pub last_id: Option<Uuid>,
    /// Kafka's offset right behind that event, where reading resumes: at most `next_offset`, before which there may be
    /// claims of writers and records that were skipped.
    pub resume_offset: i64,
    pub epoch: u32,
    /// Id of the log that the partition belongs to, if an event of its topic named one.
    pub log_id: Option<Uuid>,
    /// Records before `next_offset` that were set aside: they are no events of the topic's service.
    pub set_aside: SetAside,
}

impl SourceCheckpoint {
    /// Whether records were set aside behind the event projected last: until the next one nobody knows whether they were events.
    pub fn is_end_unproven(&self) -> bool {
        self.set_aside.lies_behind(self.resume_offset)
    }

    pub fn reached(&self) -> Reached {
        let Self { next_position, last_id, resume_offset, epoch, log_id, .. } = *self;
        Reached { offset: resume_offset, epoch, next_position, last_id, log_id }
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
    use crate::codec;

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
            let mut bytes = Vec::new();
            codec::put(&source, &mut bytes).unwrap();
            let read = |bytes: &[u8]| codec::read::<SourceCheckpoint>(bytes);
            assert_eq!(read(&bytes), Ok(source));
            assert!(read(&bytes[..bytes.len() - 1]).is_err());
            bytes.push(0);
            assert!(read(&bytes).is_err());
        }
    }
}
