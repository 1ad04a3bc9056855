//! The present moment of a generation: how far it has got, its digest and what waits, as of one commit.
//!
//! Rows and moment change in one step for a reader of positions: one that has seen a row of an event gets positions that count it.
//! sled lets readers wait while it takes a batch, and [`Moments::now`] waits as long; nobody waits for a disk to sync.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, TryLockError};

use daybook_store::Digest;

use crate::checkpoint::Checkpoint;
use crate::quarantine::Quarantine;
use crate::store::{Failure, StoreError};

/// What changes with a commit, beside the rows.
#[derive(Debug, Clone, Default)]
pub struct Moment {
    pub checkpoint: Arc<Checkpoint>,
    /// The digest of all rows, as kept up to date by every commit.
    pub digest: Digest,
    pub quarantine: Arc<Quarantine>,
}

/// The present moment, changed together with the rows. One writer; readers of many threads.
pub(super) struct Moments {
    path: PathBuf,
    /// Written for as long as rows change.
    now: RwLock<Now>,
    /// The last moment that is complete, for those who must not wait while rows change.
    last: RwLock<Arc<Moment>>,
    /// While rows change, and for good once a change has failed: what is read meanwhile may be half of a batch.
    changing: AtomicBool,
}

struct Now {
    moment: Arc<Moment>,
    /// Why a batch was taken in part only.
    torn: Option<StoreError>,
}

impl Moments {
    pub(super) fn new(path: &Path, moment: Moment) -> Self {
        let moment = Arc::new(moment);
        let now = RwLock::new(Now { moment: moment.clone(), torn: None });
        Self { path: path.to_owned(), now, last: RwLock::new(moment), changing: AtomicBool::new(false) }
    }

    /// Waits while rows change.
    pub(super) fn now(&self) -> Arc<Moment> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).moment.clone()
    }

    /// Does not wait; rows may be newer.
    pub(super) fn last(&self) -> Arc<Moment> {
        self.last.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Shows the moment that `change` returns in one step with the rows that it writes. Once a change has failed none is made
    /// any more: rows of it may be there.
    pub(super) fn change(
        &self,
        change: impl FnOnce() -> Result<Moment, StoreError>,
    ) -> Result<Arc<Moment>, StoreError> {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        if self.changing.swap(true, Ordering::SeqCst) {
            return Err(self.torn(&now));
        }
        let moment = Arc::new(change().inspect_err(|error| now.torn = Some(error.clone()))?);
        *self.last.write().unwrap_or_else(PoisonError::into_inner) = moment.clone();
        now.moment = moment.clone();
        self.changing.store(false, Ordering::SeqCst);
        Ok(moment)
    }

    /// Asked after each row is read: whether what was seen can be half of a batch that failed. Waits while rows change.
    pub(super) fn check_whole(&self) -> Result<(), StoreError> {
        if !self.changing.load(Ordering::SeqCst) {
            return Ok(());
        }
        // Nobody changes rows while this is held: if the flag stands then, the change has failed.
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        if self.changing.load(Ordering::SeqCst) { Err(self.torn(&now)) } else { Ok(()) }
    }

    /// Whether a batch was taken in part: nothing is read or written any more before the generation is opened afresh. Does not
    /// wait; of one that is being written it is not known yet.
    pub(super) fn is_torn(&self) -> bool {
        // Nobody changes rows while this is held.
        let _now = match self.now.try_read() {
            Ok(now) => now,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        self.changing.load(Ordering::SeqCst)
    }

    #[cfg(test)]
    pub(super) fn is_held(&self) -> bool {
        self.now.try_read().is_err()
    }

    fn torn(&self, now: &Now) -> StoreError {
        let panicked = || StoreError::of(Failure::Damage, "write", &self.path, "a batch ended in its middle");
        now.torn.clone().unwrap_or_else(panicked)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Nothing here takes that long unless it hangs.
    const DEADLINE: Duration = Duration::from_secs(20);

    #[test]
    fn whoever_asks_whether_a_batch_was_taken_in_part_does_not_wait_while_one_is_written() {
        let moments = Arc::new(Moments::new(Path::new("gen-000001"), Moment::default()));
        let asking = moments.clone();
        let changed = moments.change(move || {
            let (answer, answered) = channel();
            thread::spawn(move || answer.send(asking.is_torn()));
            assert_eq!(answered.recv_timeout(DEADLINE), Ok(false));
            Ok(Moment::default())
        });
        changed.unwrap();
        assert!(!moments.is_torn());
        let failed = StoreError::new("write", Path::new("gen-000001"), "a full disk");
        moments.change(|| Err(failed)).unwrap_err();
        assert!(moments.is_torn());
    }
}
