//! A served generation whose disk took no more writes is opened afresh once the disk takes them again.
//!
//! sled remembers its first failed write for as long as a store is open, so that its follower cannot just go on. Until the
//! disk is well, queries are answered from what had been projected. Opening takes a moment in which nothing is served; what
//! had not reached the disk is projected again from the log.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use projector::kernel::{State, StopReason};
use schemas::event_data::EventData;

use super::Keeper;
use super::opener::stop;
use crate::kernel::blocking::blocking;

/// Written beside the rows to see whether the disk takes writes, and removed again: as much as a few segments of a store.
const PROBE_BYTES: usize = 4 << 20;
const PROBE_FILE: &str = "probe";
/// Pause between two probes.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// When the disk was probed last.
#[derive(Default)]
pub(super) struct Probed(Option<Instant>);

impl Probed {
    fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|at| at.elapsed() >= PROBE_INTERVAL);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

impl<E: EventData + 'static> Keeper<E> {
    /// Lets go of a generation whose store has failed, if its disk takes writes again; the next look at what is published
    /// opens it.
    pub(super) async fn mend(&mut self) {
        if !self.store_failed() || !self.probed.is_due() {
            return;
        }
        let Some(serving) = self.api.serving_now() else { return };
        let path = serving.generation.path().to_owned();
        drop(serving);
        // What is wrong stands in the projection's state already.
        if !matches!(blocking(move || probe(&path)).await, Ok(Ok(()))) {
            return;
        }
        tracing::info!("the disk takes writes again; the read model is opened afresh");
        self.api.serve_nothing();
        if let Some(follower) = self.follower.take() {
            stop(follower).await;
        }
    }

    fn store_failed(&self) -> bool {
        let state = self.follower.as_ref().map(|follower| follower.progress().borrow().state.clone());
        matches!(state, Some(State::Stopped(reason)) if matches!(*reason, StopReason::Store(_)))
    }
}

/// Fails as the store would.
fn probe(directory: &Path) -> io::Result<()> {
    let path = directory.join(PROBE_FILE);
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&vec![0; PROBE_BYTES])?;
        file.sync_all()
    });
    // Also what could only be written in part.
    let removed = fs::remove_file(&path);
    written.and(removed)
}
