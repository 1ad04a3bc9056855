//! What sled has written and nobody has synced: how much it is, and since when. Pure but for the clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// With so much of sled's log unsynced, nothing is written that nobody waits for, before a sync. It is half of what
/// `store` says must not be exceeded: the other half is for the batch that is being written.
pub(super) const UNSYNCED_BYTES_MAX: u64 = super::SEGMENT_BYTES as u64 / 2;
/// After so long a sync is due. Whoever looks as often syncs what was written at most twice this time ago.
pub(crate) const SYNC_PAUSE: Duration = Duration::from_millis(500);

/// Places are log sequence numbers of sled, which count bytes of its log and never go back.
#[derive(Debug)]
pub(super) struct Unsynced {
    /// Everything before this is on disk.
    synced_to: AtomicI64,
    /// When the first write was applied that may not be on disk.
    since: Mutex<Option<Instant>>,
}

impl Unsynced {
    pub(super) fn none(written_to: i64) -> Self {
        Self { synced_to: AtomicI64::new(written_to), since: Mutex::new(None) }
    }

    /// A write is about to be applied.
    pub(super) fn begin_write(&self) {
        self.since().get_or_insert_with(Instant::now);
    }

    /// A sync begins; what is applied from here on may not be part of it.
    pub(super) fn begin_sync(&self) {
        self.since().take();
    }

    /// A sync that began when sled had written so far has succeeded.
    pub(super) fn synced(&self, written_to: i64) {
        self.synced_to.fetch_max(written_to, Ordering::SeqCst);
    }

    pub(super) fn bytes(&self, written_to: i64) -> u64 {
        u64::try_from(written_to - self.synced_to.load(Ordering::SeqCst)).unwrap_or(0)
    }

    pub(super) fn is_due(&self, written_to: i64) -> bool {
        let since = *self.since();
        since.is_some_and(|since| {
            since.elapsed() >= SYNC_PAUSE || self.bytes(written_to) >= UNSYNCED_BYTES_MAX
        })
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
