//! Asks the broker for its end offsets, so that lag is measured against the log and not against our own mark.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use event_log::Kafka;
use event_log::topics::Watcher;
use tokio::sync::watch;

use super::Stopping;
use crate::kernel::progress::Progress;
use crate::kernel::sources;

/// How old end offsets may get.
const ASK_EVERY: Duration = Duration::from_secs(1);

pub(super) struct EndOffsets {
    kafka: Kafka,
    progress: Arc<watch::Sender<Arc<Progress>>>,
    stopping: Stopping,
}

impl EndOffsets {
    /// Starts the thread. It is never waited for: it owns nothing, and ends by itself soon after the request to stop.
    pub(super) fn start(
        kafka: Kafka,
        progress: Arc<watch::Sender<Arc<Progress>>>,
        stopping: Stopping,
    ) -> io::Result<()> {
        let asking = Self { kafka, progress, stopping };
        thread::Builder::new().name("end-offsets".to_owned()).spawn(move || asking.run()).map(drop)
    }

    fn run(self) {
        let watcher = match Watcher::open(&self.kafka) {
            Ok(watcher) => watcher,
            // The follower's reader is refused for the same reason, and tells it.
            Err(error) => return tracing::debug!("end offsets will not be known: {error}"),
        };
        loop {
            self.ask(&watcher);
            if self.stopping.wait(ASK_EVERY) {
                return;
            }
        }
    }

    // A failure is no news here: the reader reports that Kafka is away.
    fn ask(&self, watcher: &Watcher) {
        let checkpoint = self.progress.borrow().checkpoint.clone();
        match watcher.all_watermarks(&sources::partitions(&checkpoint)) {
            Ok(log) => {
                let ids = checkpoint.sources().map(|(source, _)| source.clone());
                let ends = Arc::new(ids.zip(log.iter().map(|held| held.high)).collect());
                self.progress.send_modify(|progress| Arc::make_mut(progress).end_offsets = ends);
            }
            Err(error) => tracing::debug!("end offsets are not known: {error}"),
        }
    }
}
