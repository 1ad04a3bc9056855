//! What sled has written and nobody has synced: how much it is, and since when. Pure but for the clock.
//!
//! sled ends its own syncs with `sync_file_range`, which promises nothing: it neither writes the file's size nor empties the
//! disk's own cache. And it moves pages, and writes new ones over the segment where the old ones were as soon as the new ones are
//! stable *in its own eyes*. After a power cut the old place may be overwritten and the new one not there: rows that were
//! durable long ago are gone, and the database cannot be opened, or opens without a word. By sled's rules there is a whole
//! segment at least between where a page was moved to and the write over its old segment. So at most one segment of sled's log
//! may be unsynced. How much it is, is not reckoned from what sled is given (it rewrites whole pages, and others beside them),
//! but read off its log's own sequence number.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::database::{BATCH_BYTES_MAX, SEGMENT_BYTES};

/// With so much of sled's log unsynced, nothing is written into an index that nobody waits for, before a sync. It is half of
/// what must not be exceeded: the other half is for the batch that is being written.
pub(crate) const INDEX_BYTES_MAX: u64 = SEGMENT_BYTES as u64 / 2;
/// With so much of it unsynced, what is followed is synced. What is written before the next look comes on top: a batch at most, and
/// what sled still had in memory, which [`BATCH_BYTES_MAX`] and [`UNWRITTEN_BYTES_MAX`] keep so small that all of it stays
/// below a segment.
pub(crate) const FOLLOWED_BYTES_MAX: u64 = SEGMENT_BYTES as u64 / 4;
/// With so many bytes of batches since sled was last made to write what it has in memory, it is made to do so again: what it
/// has there, up to a segment, is not in what it says to have written.
const UNWRITTEN_BYTES_MAX: usize = BATCH_BYTES_MAX / 8;
/// After so long a sync of an index is due. A loop that checks as often syncs what was written at most twice this time ago.
pub const SYNC_PAUSE: Duration = Duration::from_millis(500);

/// Places are log sequence numbers of sled, which count bytes of its log and never go back.
#[derive(Debug)]
pub(crate) struct Unsynced {
    /// Everything before this is on disk.
    synced_to: AtomicI64,
    /// What `since_us` counts from.
    opened_at: Instant,
    /// When the first write was applied that may not be on disk, in microseconds, from 1; 0 if there is none.
    since_us: AtomicU64,
    /// Bytes of batches that sled may still have in memory.
    unwritten: AtomicUsize,
}

impl Unsynced {
    pub(crate) fn none(written_to: i64) -> Self {
        Self {
            synced_to: AtomicI64::new(written_to),
            opened_at: Instant::now(),
            since_us: AtomicU64::new(0),
            unwritten: AtomicUsize::new(0),
        }
    }

    /// A write is about to be applied.
    pub(crate) fn begin_write(&self) {
        if self.since_us.load(Ordering::SeqCst) == 0 {
            // Another writer may have noted it at the same moment.
            let _noted = self.since_us.compare_exchange(0, self.now_us(), Ordering::SeqCst, Ordering::SeqCst);
        }
    }

    /// A batch of so many bytes was applied. Whether sled is to be made to write what it has in memory.
    pub(crate) fn applied(&self, bytes: usize) -> bool {
        self.unwritten.fetch_add(bytes, Ordering::SeqCst) + bytes >= UNWRITTEN_BYTES_MAX
    }

    pub(crate) fn flushed(&self) {
        self.unwritten.store(0, Ordering::SeqCst);
    }

    pub(crate) fn begin_sync(&self) {
        self.since_us.store(0, Ordering::SeqCst);
    }

    /// A sync that began when sled had written so far has succeeded.
    pub(crate) fn synced(&self, written_to: i64) {
        self.synced_to.fetch_max(written_to, Ordering::SeqCst);
    }

    pub(crate) fn bytes(&self, written_to: i64) -> u64 {
        let bytes = written_to.saturating_sub(self.synced_to.load(Ordering::SeqCst));
        u64::try_from(bytes).unwrap_or(0)
    }

    /// Whether a sync of an index is due.
    pub(crate) fn is_due(&self, written_to: i64) -> bool {
        let since_us = self.since_us.load(Ordering::SeqCst);
        let lasts = Duration::from_micros(self.now_us().saturating_sub(since_us));
        since_us != 0 && (lasts >= SYNC_PAUSE || self.bytes(written_to) >= INDEX_BYTES_MAX)
    }

    fn now_us(&self) -> u64 {
        // 584,000 years.
        self.opened_at.elapsed().as_micros() as u64 + 1
    }
}
