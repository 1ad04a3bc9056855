//! Threads for one task alone: whatever others do, it finds one that is free.

use std::fmt;
use std::io;
use std::thread;

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::JoinError;

/// A task on threads of its own.
pub(super) struct OwnThreads {
    ended: oneshot::Receiver<Result<(), JoinError>>,
}

/// A task ended in its middle.
#[derive(Debug)]
pub struct Panicked(Option<JoinError>);

impl OwnThreads {
    /// Runs `task` on a thread called `name`, and what blocks in it on up to `blocking_max` others.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(super) fn spawn(
        name: &str,
        blocking_max: usize,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(blocking_max)
            .thread_name(name)
            .build()?;
        let (tell, ended) = oneshot::channel();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            let result = runtime.block_on(async { tokio::spawn(task).await });
            // What still blocks may take minutes, and loses nothing when it is cut short.
            runtime.shutdown_background();
            // Whoever does not wait for the end any more has no use for it.
            let _unheard = tell.send(result);
        })?;
        Ok(Self { ended })
    }

    /// Waits until the task has ended.
    ///
    /// # Errors
    /// [`Panicked`].
    pub(super) async fn ended(&mut self) -> Result<(), Panicked> {
        match (&mut self.ended).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Panicked(Some(error))),
            Err(_) => Err(Panicked(None)),
        }
    }
}

impl From<JoinError> for Panicked {
    fn from(error: JoinError) -> Self {
        Self(Some(error))
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(error) => error.fmt(to),
            None => to.write_str("its thread is gone"),
        }
    }
}

impl std::error::Error for Panicked {}

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
