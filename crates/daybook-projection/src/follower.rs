//! Follows the log for ever, in a thread of its own, into one generation.
//!
//! The follower commits as soon as polling yields nothing, so that an event alone is visible at once, and in batches
//! while there is more than it can take. Kafka being away never stops it. What does stop it is reported in its
//! [`Progress`]; everything before that place has been committed, and readers continue. What may pass is tried again, with a
//! pause that grows.

mod end_offsets;
mod following;
mod log;
mod repair;
mod report;

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use daybook_event::event_data::EventData;
use daybook_kafka::Kafka;
use daybook_service::Stop;
use tokio::sync::watch;

use super::engine::{Engine, Limits};
use super::generation::Generation;
use super::progress::{Progress, State};
use super::projection::Projection;
use super::store::StoreError;
use end_offsets::{EndOffsets, Findings};
use following::Following;
pub use repair::{Repair, RepairError, Repairs};

/// Bytes of rows kept in memory, so that they need not be read before they change: some hundred thousand users with a few orders
/// each.
pub(super) const CACHE_BYTES_MAX: usize = 64 << 20;

/// A running follower. Dropped without [`Follower::stop`], it is asked to stop and not waited for.
pub struct Follower {
    generation: Arc<Generation>,
    progress: watch::Receiver<Arc<Progress>>,
    stopping: Stop,
    repairs: Repairs,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Starts to follow from the generation's checkpoint. Does not wait for Kafka.
    pub fn start<E: EventData + 'static>(
        kafka: &Kafka,
        generation: Arc<Generation>,
        projection: Projection<E>,
    ) -> io::Result<Self> {
        let (sender, progress) = watch::channel(Arc::new(Progress::start(generation.checkpoint())));
        let sender = Arc::new(sender);
        let (stopping, findings) = (Stop::default(), Findings::default());
        let (repairs, repair_queue) = repair::repairs();
        EndOffsets::start(kafka.clone(), sender.clone(), stopping.clone(), findings.clone())?;
        let following = Following {
            kafka: kafka.clone(),
            generation: generation.clone(),
            projection,
            engine: Engine::new(projection, &generation.checkpoint(), Limits::following(CACHE_BYTES_MAX)),
            progress: sender,
            stopping: stopping.clone(),
            repair_queue,
            findings,
            going: State::Building,
            pause: following::retry_pause(),
        };
        let thread = thread::Builder::new().name("follower".to_owned()).spawn(move || following.run());
        // The other thread is at work already.
        let thread = thread.inspect_err(|_| stopping.request())?;
        Ok(Self { generation, progress, stopping, repairs, thread: Some(thread) })
    }

    /// The state after each commit. It changes as well when new end offsets are known.
    pub fn progress(&self) -> watch::Receiver<Arc<Progress>> {
        self.progress.clone()
    }

    /// Releases events that wait, or leaves them out.
    pub fn repairing(&self) -> Repairs {
        self.repairs.clone()
    }

    /// Commits what has been read, writes everything to disk and ends the thread. Blocks for some 100 ms; for a few seconds
    /// while a broker does not answer.
    pub fn stop(mut self) -> Result<(), StoreError> {
        self.stopping.request();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the follower's thread panicked");
        }
        self.generation.flush()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stopping.request();
    }
}
