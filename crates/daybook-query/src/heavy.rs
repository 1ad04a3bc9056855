//! Threads for what takes long, and for one task alone. Work whose request is gone is asked to stop.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::{self, available_parallelism};

use daybook_projection::replay::lower_priority;
use daybook_service::Stop;
use daybook_service::http::{Count, Counted};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use tokio::task::{JoinError, spawn_blocking};

use super::limits::LISTEN_POLL_INTERVAL;
use super::metrics::QueryMetrics;

/// How long a read may take. Those of each length have permits of their own, so that a page never waits for the whole of what
/// a user has ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// A few rows, for which no thread of the runtime's own is free: see [`Heavy::inline`].
    Few,
    Page,
    Whole,
    /// For operators of the read model: one at a time, on a thread that waits for others ([`aside`]), so it must not have
    /// a permit that a query waits for.
    Aside,
}

/// Permits of reads that take long.
pub(super) struct Heavy {
    inline: Arc<Semaphore>,
    few: Arc<Semaphore>,
    pages: Arc<Semaphore>,
    wholes: Arc<Semaphore>,
    asides: Arc<Semaphore>,
    at_work: Count,
    waiting: Count,
}

impl Heavy {
    /// As many of each length as there are cores: more at once would take longer each, and keep the rest of the process from
    /// its work. To be made in the runtime that answers requests.
    pub(super) fn new(metrics: &QueryMetrics) -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        let permits = || Arc::new(Semaphore::new(cores));
        let (at_work, waiting) = (metrics.heavy_at_work.clone(), metrics.heavy_waiting.clone());
        let asides = Arc::new(Semaphore::new(1));
        // All but one: whatever disk those wait for, health, status and metrics are answered.
        let inline = Arc::new(Semaphore::new(workers().saturating_sub(1)));
        if let Err(error) = keep_listening(&inline) {
            tracing::warn!(%error, "the system gives no thread: short reads are handed to other threads, and take longer");
            inline.close();
        }
        Self { inline, few: permits(), pages: permits(), wholes: permits(), asides, at_work, waiting }
    }

    /// Leave to read a few rows on the runtime's own thread; none if that is the only one which does not read.
    pub(super) fn inline(&self) -> Option<SemaphorePermit<'_>> {
        self.inline.try_acquire().ok()
    }

    /// Works on a thread that may block, once there is a permit. Dropped before that, nothing is done; dropped later, the
    /// work is asked to stop.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        length: Length,
        work: impl FnOnce(&Stop) -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let permits = match length {
            Length::Few => &self.few,
            Length::Page => &self.pages,
            Length::Whole => &self.wholes,
            Length::Aside => &self.asides,
        };
        let permit = {
            let _waiting = Counted::new(&self.waiting);
            // Never closed; without a permit it would work all the same.
            permits.clone().acquire_owned().await.ok()
        };
        let (stop, at_work) = (Stop::default(), Counted::new(&self.at_work));
        // Lives in the request, and ends with it.
        let _of_the_request = stop.on_drop();
        spawn_blocking(move || {
            // Free once the work ends, not once its request does.
            let _held = (permit, at_work);
            work(&stop)
        })
        .await
    }
}

/// Wakes a thread of the runtime now and then while short reads block others, as long as `inline` is in use: one of Tokio's
/// threads waits for the network on behalf of all, and none takes its place while a task blocks it
/// (<https://github.com/tokio-rs/tokio/issues/4730>). The thread that is woken finds nothing else to do, and does.
fn keep_listening(inline: &Arc<Semaphore>) -> io::Result<()> {
    let Ok(runtime) = Handle::try_current() else { return Ok(()) };
    let (of_all, inline) = (inline.available_permits(), Arc::downgrade(inline));
    let listen = move || {
        while let Some(inline) = inline.upgrade() {
            if inline.available_permits() < of_all {
                drop(runtime.spawn(async {}));
            }
            drop(inline);
            thread::sleep(LISTEN_POLL_INTERVAL);
        }
    };
    thread::Builder::new().name("listening".to_owned()).spawn(listen).map(drop)
}

/// Threads of this runtime that answer requests.
fn workers() -> usize {
    Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers())
}

/// Works on a thread of its own that waits for all others: a thread of the pool would keep that for the queries after it.
pub(super) fn aside<T: Send>(work: impl Fn() -> T + Sync) -> T {
    thread::scope(|scope| {
        let reading = thread::Builder::new().name("aside".to_owned()).spawn_scoped(scope, || {
            lower_priority();
            work()
        });
        match reading.map(thread::ScopedJoinHandle::join) {
            Ok(read) => read.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // The system gives no thread.
            Err(_) => work(),
        }
    })
}

pub(super) struct OwnThreads {
    ended: oneshot::Receiver<Result<(), TaskError>>,
}

#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    #[error("{0}; restart the process, and report this")]
    Panicked(#[from] JoinError),
    #[error("the system gives no threads: {0}; check the limits of this process")]
    NoThreads(#[from] io::Error),
    #[error("its thread is gone; restart the process, and report this")]
    Gone,
}

impl OwnThreads {
    /// Runs `task` on a thread called `name`, and what blocks in it on up to `blocking_max` others.
    pub(super) fn spawn(
        name: &'static str,
        blocking_max: usize,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<Self> {
        let (end, ended) = oneshot::channel();
        let run = move || {
            let mut threads = Builder::new_current_thread();
            let threads =
                threads.enable_time().max_blocking_threads(blocking_max).thread_name(name).build()?;
            let result = threads.block_on(async { tokio::spawn(task).await });
            // What still blocks may take minutes, and loses nothing when it is cut short.
            threads.shutdown_background();
            Ok(result?)
        };
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            // The caller may no longer wait for the end.
            let _unheard = end.send(run());
        })?;
        Ok(Self { ended })
    }

    pub(super) async fn ended(&mut self) -> Result<(), TaskError> {
        (&mut self.ended).await.unwrap_or(Err(TaskError::Gone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_on_threads_of_its_own_says_how_it_ended() {
        let mut done = OwnThreads::spawn("done", 1, async {}).unwrap();
        done.ended().await.unwrap();
        let mut panics = OwnThreads::spawn("panics", 1, async { panic!("on purpose") }).unwrap();
        let error = panics.ended().await.unwrap_err();
        assert!(error.to_string().contains("panicked with message \"on purpose\""), "{error}");
    }

    #[tokio::test]
    async fn a_task_ends_although_something_in_it_still_blocks() {
        let (open, opened) = std::sync::mpsc::channel::<()>();
        let blocks = async move {
            let _at_work = tokio::task::spawn_blocking(move || opened.recv());
        };
        OwnThreads::spawn("leaves", 1, blocks).unwrap().ended().await.unwrap();
        drop(open);
    }
}
