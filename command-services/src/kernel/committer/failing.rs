//! What the committer does while the store or the journal fails: it acknowledges nothing, and tries to get them back. What
//! must not be gone on with ends the process.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use daybook_journal::AppendError;

use super::{CommitError, Committer, Work, refuse};
use crate::kernel::aggregate::Aggregate;
use crate::kernel::idempotency::Forgetter;
use crate::kernel::integrity::{self, IntegrityError};
use crate::kernel::keys;
use crate::kernel::recorded;
use crate::kernel::store::{Store, StoreError, VALUE_BYTES_MAX};

/// Pause between two attempts to open a store that failed.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);
/// Values written for trial: together more than a segment of the store, so that the disk has to take a new one.
const TRIAL_VALUES: u8 = 100;
/// Size of each.
const TRIAL_VALUE_BYTES: usize = VALUE_BYTES_MAX - 64;

impl<A: Aggregate> Committer<A> {
    /// Refuses everything until the store can be opened, read and written again, has all that the journal has, and the
    /// journal has room. Returns false if the service stops before that; after the `stop` there is one attempt.
    ///
    /// # Errors
    /// They must not be gone on with. Everything waiting is refused; the process has to end.
    pub(super) fn wait_until_well(
        &mut self,
        error: &CommitError,
        stop: bool,
    ) -> Result<bool, IntegrityError> {
        tracing::error!(error = %error, "the store fails; commands are refused until it can be written again");
        self.metrics.store_failures.inc();
        self.health.failed(error.to_string());
        if let CommitError::Journal(AppendError::Failed { .. } | AppendError::Unusable(_)) = error {
            // Of what a failed sync was about, the system may have forgotten that it is not on the disk.
            return Err(IntegrityError::JournalFailed(error.to_string()));
        }
        loop {
            match self.reopen() {
                Ok(()) => break,
                Err(error) if error.may_pass() => tracing::error!(error = %error, "the store still fails"),
                Err(error) => {
                    tracing::error!(error = %error, "the store must not be gone on with; the service ends");
                    return Err(error);
                }
            }
            if stop || !self.refuse_for(REOPEN_PAUSE, error) {
                return Ok(false);
            }
        }
        tracing::info!("the store can be written again");
        Ok(true)
    }

    fn reopen(&mut self) -> Result<(), IntegrityError> {
        self.syncing.reopen(&self.journal)?;
        // What was followed and not synced may be gone, and the checkpoints with it.
        self.followed.begin_anew();
        let counters = recorded::counters(&self.store, self.counters.len())?;
        integrity::check_durable(&self.store, &counters, &self.positions.look().durable)?;
        integrity::check(&self.store, counters.len() as i32)?;
        self.counters = counters;
        try_writing(&self.store)?;
        if let Some(reason) = self.journal.no_room() {
            return Err(IntegrityError::NoRoom(reason));
        }
        self.forgetter = Forgetter::open(&self.store, &self.limits)?;
        self.health.well_again();
        self.positions.set_durable(self.counters.iter().map(|counter| counter.next).collect());
        Ok(())
    }

    fn refuse_for(&self, pause: Duration, error: &CommitError) -> bool {
        let until = Instant::now() + pause;
        loop {
            match self.work.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Work::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
                Ok(work) => refuse(work, error),
                Err(RecvTimeoutError::Timeout) => return true,
            }
        }
    }
}

/// A disk that is full lets a store be opened, and takes what still fits into the last segment. Ready means more than that.
fn try_writing(store: &Store) -> Result<(), StoreError> {
    for number in 0..TRIAL_VALUES {
        store.apply(vec![(keys::trial(number), Some(vec![0; TRIAL_VALUE_BYTES]))])?;
    }
    store.sync()?;
    store.apply((0..TRIAL_VALUES).map(|number| (keys::trial(number), None)).collect())?;
    store.sync()
}
