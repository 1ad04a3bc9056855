//! Threads for one task alone: whatever others do, it finds one that is free.

use std::io;
use std::thread;

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::JoinError;

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
        let (tell, ended) = oneshot::channel();
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
            // Whoever does not wait for the end any more has no use for it.
            let _unheard = tell.send(run());
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
