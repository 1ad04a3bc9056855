//! Events that a replay could not fold. A replay folds a key's changes after it has read the whole log, so it meets such an
//! event late: what comes after it, of its key, has been folded into other rows already. So the build begins anew, and
//! parks the event when it is read again.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bulk::ChangeAt;
use crate::checkpoint::SourceId;
use crate::quarantine::{Intake, PARKED_EVENTS_MAX};
use crate::source::Source;
use crate::stop::StopReason;
use crate::view::FoldError;

/// One such event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unfoldable {
    topic: String,
    partition: i32,
    position: u64,
    offset: i64,
    /// Of the row that it contradicts, and how.
    row: Uuid,
    detail: String,
}

/// What was built, or the events that could not be folded into it.
pub(super) type Folded<T> = Result<T, Vec<Unfoldable>>;

/// Collects what all threads of one build could not fold; of each row the first.
#[derive(Debug, Default)]
pub(super) struct Unfolded(Mutex<Vec<Unfoldable>>);

impl Unfolded {
    /// Notes an event, unless there are too many or the row itself cannot be read.
    pub(super) fn note(&self, source: &SourceId, at: ChangeAt, error: &FoldError) -> bool {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let FoldError::Contradiction { key, detail } = error else { return false };
        if events.len() as u64 >= PARKED_EVENTS_MAX {
            return false;
        }
        let (topic, partition) = (source.topic.to_string(), source.partition);
        let (row, detail) = (*key, detail.clone());
        let ChangeAt { position, offset, .. } = at;
        events.push(Unfoldable { topic, partition, position, offset, row, detail });
        true
    }

    pub(super) fn take(&self) -> Vec<Unfoldable> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Unfoldable {
    /// Parks the event when it is read, if it is of this partition.
    pub(super) fn expect(&self, intake: &mut Intake, index: usize, source: &Source) {
        if (&*source.id.topic, source.id.partition) == (self.topic.as_str(), self.partition) {
            let error = FoldError::Contradiction { key: self.row, detail: self.detail.clone() };
            let reason = StopReason::fold(source.at(self.offset, None), error);
            intake.expect_unfoldable(index, self.position, reason);
        }
    }
}
