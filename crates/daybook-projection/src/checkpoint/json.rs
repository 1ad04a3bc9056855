//! A checkpoint as JSON: an array with one object for each partition.

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
}

impl From<Vec<SourceEntry>> for Checkpoint {
    fn from(entries: Vec<SourceEntry>) -> Self {
        Self::from_sources(entries.into_iter().map(|entry| {
            let id = SourceId { topic: entry.topic.into(), partition: entry.partition };
            let SourceEntry { next_offset, next_position, last_id, resume_offset, epoch, log_id, .. } = entry;
            (id, SourceCheckpoint { next_offset, next_position, last_id, resume_offset, epoch, log_id })
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
        };
        checkpoint.set(source, at);
        let json = serde_json::to_string(&checkpoint).unwrap();
        assert_eq!(serde_json::from_str::<Checkpoint>(&json).unwrap(), checkpoint);
    }
}
