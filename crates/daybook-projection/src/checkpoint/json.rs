//! A checkpoint as JSON: an array with one object for each partition.

use daybook_stream::SetAside;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Checkpoint, SourceCheckpoint, SourceId};

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

#[cfg(test)]
mod tests {
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
