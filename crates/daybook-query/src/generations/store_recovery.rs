//! A served generation whose disk took no more writes is opened afresh once the disk takes them again.
//!
//! sled remembers its first failed write for as long as a store is open, so that its follower cannot just continue. Until the
//! disk is well, queries are answered from what had been projected. Opening takes a moment in which nothing is served; what
//! had not reached the disk is projected again from the log. What could not be read, or is damaged, no opening mends.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daybook_projection::generation::PROBE_FILE;
use daybook_projection::store::Failure;
use daybook_projection::{Checkpoint, State};
use daybook_service::Pause;
use daybook_store::files;
use tokio::time::Instant;

/// Written beside the rows to see whether the disk takes writes, and removed again: as much as a few segments of a store.
const PROBE_BYTES: usize = 4 << 20;
/// Pause before the disk is probed, doubled up to [`PROBE_PAUSE_MAX`] while the generation gets no further.
const PROBE_PAUSE: Duration = Duration::from_secs(1);
const PROBE_PAUSE_MAX: Duration = Duration::from_secs(60);

pub(super) struct StoreRecovery {
    pause: Pause,
    due_at: Option<Instant>,
    /// How far the generation had got when it was opened afresh.
    opened_at: Option<Arc<Checkpoint>>,
}

impl Default for StoreRecovery {
    fn default() -> Self {
        Self { pause: Pause::new(PROBE_PAUSE, PROBE_PAUSE_MAX), due_at: None, opened_at: None }
    }
}

impl StoreRecovery {
    /// Whether the disk is to be probed now, for a store that failed when the generation had got that far.
    pub(super) fn is_due(&mut self, reached: &Arc<Checkpoint>) -> bool {
        let got_further = |before: &Arc<Checkpoint>| !before.covers(reached) && reached.covers(before);
        if self.opened_at.as_ref().is_some_and(got_further) {
            *self = Self::default();
        }
        let due_at = *self.due_at.get_or_insert_with(|| Instant::now() + self.pause.longer());
        if due_at > Instant::now() {
            return false;
        }
        self.due_at = None;
        true
    }

    pub(super) fn reopened(&mut self, reached: Arc<Checkpoint>) {
        self.opened_at = Some(reached);
    }
}

pub(super) fn is_failed_write(state: &State) -> bool {
    matches!(state, State::Stopped(reason) if reason.failure() == Some(Failure::Write))
}

/// Fails as the store would.
pub(super) fn probe(directory: &Path) -> io::Result<()> {
    files::probe(&directory.join(PROBE_FILE), PROBE_BYTES)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use daybook_projection::{SourceCheckpoint, SourceId, StopReason, StoreError};

    use super::*;

    fn checkpoint(next_position: u64) -> Arc<Checkpoint> {
        let source = SourceId { topic: "orders.events".into(), partition: 0 };
        let at = SourceCheckpoint { next_position, ..Default::default() };
        Arc::new(Checkpoint::from_sources([(source, at)]))
    }

    #[test]
    fn only_a_failed_write_is_a_disk_that_may_take_writes_again() {
        let stopped = |failure| {
            let error = StoreError::new("read", Path::new("gen-000001"), "a reason");
            State::Stopped(Arc::new(StopReason::Store(StoreError { failure, ..error })))
        };
        assert!(is_failed_write(&stopped(Failure::Write)));
        assert!(!is_failed_write(&stopped(Failure::Other)));
        assert!(!is_failed_write(&stopped(Failure::Damage)));
        assert!(!is_failed_write(&State::Following));
    }

    #[test]
    fn a_directory_in_place_of_the_probe_keeps_nothing_from_being_opened_afresh() {
        let directory = tempfile::tempdir().unwrap();
        probe(directory.path()).unwrap();
        fs::create_dir(directory.path().join(PROBE_FILE)).unwrap();
        probe(directory.path()).unwrap();
        assert!(probe(&directory.path().join("gone")).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_fails_at_the_same_place_is_probed_less_and_less_often() {
        let mut recovery = StoreRecovery::default();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let mut waited = 0;
            while !recovery.is_due(&checkpoint(3)) {
                tokio::time::advance(Duration::from_secs(1)).await;
                waited += 1;
            }
            pauses.push(waited);
            recovery.reopened(checkpoint(3));
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(!recovery.is_due(&checkpoint(4)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(recovery.is_due(&checkpoint(4)), "it had got further");
    }
}
