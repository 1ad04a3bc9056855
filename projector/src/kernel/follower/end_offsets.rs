//! Asks the broker for its end offsets, so that lag is measured against the log and not against our own mark; and now and
//! then whether topics still have the partitions that are followed.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use event_log::Kafka;
use event_log::topics::{Watcher, Watermarks};
use tokio::sync::watch;

use super::Stopping;
use crate::kernel::checkpoint::Checkpoint;
use crate::kernel::progress::Progress;
use crate::kernel::sources;
use crate::kernel::stop::StopReason;

/// How old end offsets may get.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Questions about end offsets for each about partitions, which only an operator changes.
const ASKED_PER_CHECK: u32 = 5;

/// Why the follower must stop, found by looking at topics; taken by the follower.
#[derive(Debug, Clone, Default)]
pub(super) struct Unfit(Arc<Mutex<Option<StopReason>>>);

impl Unfit {
    pub(super) fn take(&self) -> Option<StopReason> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, reason: StopReason) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }
}

pub(super) struct EndOffsets {
    kafka: Kafka,
    progress: Arc<watch::Sender<Arc<Progress>>>,
    stopping: Stopping,
    unfit: Unfit,
    told_front: bool,
}

impl EndOffsets {
    /// Starts the thread. It is never waited for: it owns nothing, and ends by itself soon after the request to stop.
    pub(super) fn start(
        kafka: Kafka,
        progress: Arc<watch::Sender<Arc<Progress>>>,
        stopping: Stopping,
        unfit: Unfit,
    ) -> io::Result<()> {
        let asking = Self { kafka, progress, stopping, unfit, told_front: false };
        thread::Builder::new().name("end-offsets".to_owned()).spawn(move || asking.run()).map(drop)
    }

    fn run(mut self) {
        let watcher = match Watcher::open(&self.kafka) {
            Ok(watcher) => watcher,
            // The follower's reader is refused for the same reason, and tells it.
            Err(error) => return tracing::debug!("end offsets will not be known: {error}"),
        };
        for asked in 1_u32.. {
            self.ask(&watcher);
            if asked.is_multiple_of(ASKED_PER_CHECK) {
                self.check_partitions(&watcher);
            }
            if self.stopping.wait(ASK_EVERY) {
                return;
            }
        }
    }

    // A failure is no news here: the reader reports that Kafka is away.
    fn ask(&mut self, watcher: &Watcher) {
        let checkpoint = self.progress.borrow().checkpoint.clone();
        match watcher.all_watermarks(&sources::partitions(&checkpoint)) {
            Ok(log) => {
                self.tell_front(&checkpoint, &log);
                let ids = checkpoint.sources().map(|(source, _)| source.clone());
                let ends = Arc::new(ids.zip(log.iter().map(|held| held.high)).collect());
                self.progress.send_modify(|progress| Arc::make_mut(progress).end_offsets = ends);
            }
            Err(error) => tracing::debug!("end offsets are not known: {error}"),
        }
    }

    /// Once. What is projected stays right, but there is no way back to offset zero.
    fn tell_front(&mut self, checkpoint: &Checkpoint, log: &[Watermarks]) {
        let deleted = checkpoint.sources().zip(log).find(|(_, held)| held.low > 0);
        let Some(((source, _), held)) = deleted.filter(|_| !self.told_front && !self.kafka.embedded) else {
            return;
        };
        self.told_front = true;
        tracing::warn!(
            "{source} begins at offset {}: its first events were deleted, so the read model cannot be rebuilt from it; restore the \
             topic from a backup",
            held.low
        );
    }

    fn check_partitions(&self, watcher: &Watcher) {
        let checkpoint = self.progress.borrow().checkpoint.clone();
        for (topic, expected) in sources::topics_of(&checkpoint) {
            match watcher.partition_count(&topic) {
                Ok(Some(found)) if found != expected => {
                    self.unfit.set(StopReason::PartitionsChanged { topic, found, expected });
                }
                // The reader meets a topic that is gone.
                Ok(_) => {}
                Err(error) => tracing::debug!("partitions are not known: {error}"),
            }
        }
    }
}
