//! The request to stop, and the signals that make it.

use std::future::poll_fn;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::signal;
use tokio::sync::Notify;

/// A request to stop, made once and seen by all clones: threads ask for it or wait for it with a bound, tasks wait for it.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    requested: AtomicBool,
    /// Held while it is requested, so that no thread looks before that and waits behind it.
    waiting: Mutex<()>,
    for_threads: Condvar,
    for_tasks: Notify,
}

impl Stop {
    pub fn request(&self) {
        let waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.requested.store(true, Ordering::SeqCst);
        drop(waiting);
        self.0.for_threads.notify_all();
        self.0.for_tasks.notify_waiters();
    }

    pub fn requested(&self) -> bool {
        self.0.requested.load(Ordering::SeqCst)
    }

    /// Waits for the request, at most so long; returns whether it has come.
    pub fn wait(&self, timeout: Duration) -> bool {
        let waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.for_threads.wait_timeout_while(waiting, timeout, |()| !self.requested());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.requested()
    }

    /// Completes once the request has come, at once if it came before.
    pub async fn cancelled(&self) {
        let mut notified = std::pin::pin!(self.0.for_tasks.notified());
        // Before the look, so that no request comes between look and wait.
        notified.as_mut().enable();
        if !self.requested() {
            notified.await;
        }
    }

    /// Requests when it is dropped: for an owner that may end in any way.
    pub fn on_drop(&self) -> StopOnDrop {
        StopOnDrop(self.clone())
    }
}

#[derive(Debug)]
#[must_use = "it is requested as soon as this is dropped"]
pub struct StopOnDrop(Stop);

impl Deref for StopOnDrop {
    type Target = Stop;

    fn deref(&self) -> &Stop {
        &self.0
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.request();
    }
}

/// Completes at SIGINT (Ctrl-C) or SIGTERM.
pub async fn shutdown_signal() {
    tokio::select! {
        () = interrupt() => tracing::info!("stopping: interrupted"),
        () = terminate() => tracing::info!("stopping: asked to terminate"),
    }
}

/// Lets `stop` begin to listen, and returns what is left of it: who learns afterwards that the process is at work may
/// ask it to stop. Before, a signal ends it at once.
pub async fn listening(stop: impl Future<Output = ()> + Send) -> impl Future<Output = ()> + Send {
    let mut stop = Box::pin(stop);
    let over = poll_fn(|context| Poll::Ready(stop.as_mut().poll(context).is_ready())).await;
    async move {
        if !over {
            stop.await;
        }
    }
}

async fn interrupt() {
    if let Err(error) = signal::ctrl_c().await {
        cannot_listen("SIGINT", &error).await;
    }
}

async fn terminate() {
    match signal::unix::signal(signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => {
            terminate.recv().await;
        }
        Err(error) => cannot_listen("SIGTERM", &error).await,
    }
}

// Without the handler the signal ends the process as it does by default; until then the work continues.
async fn cannot_listen(name: &str, error: &std::io::Error) {
    tracing::error!("cannot listen for {name}: {error}; it will end the process without an orderly stop");
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    /// Nothing here takes that long unless it hangs.
    const DEADLINE: Duration = Duration::from_secs(20);

    #[test]
    fn a_thread_that_waits_is_woken_and_one_that_comes_later_does_not_wait() {
        // Many, so that some of them wait when the request comes.
        for _ in 0..200 {
            let stop = Stop::default();
            assert!(!stop.requested() && !stop.wait(Duration::ZERO));
            let ((begin, begun), (end, ended), waiting) = (channel(), channel(), stop.clone());
            let thread = thread::spawn(move || {
                begin.send(()).unwrap();
                end.send(waiting.wait(2 * DEADLINE)).unwrap();
            });
            begun.recv_timeout(DEADLINE).unwrap();
            thread::yield_now();
            stop.request();
            assert_eq!(ended.recv_timeout(DEADLINE), Ok(true));
            thread.join().unwrap();
            assert!(stop.requested() && stop.wait(2 * DEADLINE));
        }
    }

    #[tokio::test]
    async fn tasks_are_woken_by_a_request_and_by_an_owner_that_is_gone() {
        let stop = Stop::default();
        let owner = stop.on_drop();
        let waiting: Vec<_> = (0..3).map(|_| stop.clone()).collect();
        let waiting: Vec<_> =
            waiting.into_iter().map(|stop| tokio::spawn(async move { stop.cancelled().await })).collect();
        tokio::task::yield_now().await;
        drop(owner);
        for task in waiting {
            tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
        }
        stop.cancelled().await;
    }
}

#[cfg(test)]
mod shutdown_tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_stop_listens_before_anybody_waits_for_it() {
        let polls = AtomicU32::new(0);
        let stop = poll_fn(|_| match polls.fetch_add(1, Ordering::Relaxed) {
            0 => Poll::Pending,
            _ => Poll::Ready(()),
        });
        let stop = listening(stop).await;
        assert_eq!(polls.load(Ordering::Relaxed), 1);
        stop.await;
        // One that is over already is not asked again.
        listening(std::future::ready(())).await.await;
    }
}
