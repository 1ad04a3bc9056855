//! Being the one process that serves a read model: its lock, and with it the admin socket.
//!
//! A process of a new layout begins before the one of the old layout has ended; it becomes the owner when that one has.

use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use daybook_projection::ReadModel;
use daybook_projection::read_model::{ADMIN_SOCKET, SERVING_LOCK};
use daybook_service::{LogOnce, Stop};
use daybook_store::DirectoryLock;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::admin;
use super::api::Api;
use super::limits::RETRY_INTERVAL;
use tokio::task::spawn_blocking;

pub(super) struct Ownership {
    pub(super) read_model: ReadModel,
    pub(super) api: Arc<Api>,
    pub(super) holder: String,
    pub(super) stopped: Stop,
}

impl Ownership {
    /// Holds the lock until asked to stop; takes it first if it is not there yet.
    pub(super) async fn keep(self, lock: Option<DirectoryLock>) {
        let lock = match lock {
            Some(lock) => lock,
            None => tokio::select! {
                lock = self.take() => lock,
                () = self.stopped.cancelled() => return,
            },
        };
        let own = tokio::select! {
            own = self.inode(SERVING_LOCK) => own,
            () = self.stopped.cancelled() => return,
        };
        let said = LogOnce::new();
        loop {
            let trouble = match admin::serve(&self.read_model, self.api.clone(), self.stopped.clone()) {
                Ok(serving) => match self.serve_until_gone(serving, own).await {
                    Some(gone) => gone,
                    None => break,
                },
                // Queries are answered all the same.
                Err(error) => format!("operators of the read model are not answered: {error}"),
            };
            if let Some(more) = said.say(&trouble) {
                tracing::error!("{trouble}{more}");
            }
            tokio::select! {
                () = sleep(RETRY_INTERVAL) => {}
                () = self.stopped.cancelled() => break,
            }
        }
        // Gone with this process; the next one would remove it as well.
        drop(std::fs::remove_file(self.read_model.directory().join(ADMIN_SOCKET)));
        drop(lock);
    }

    /// Until asked to stop, then nothing; or until the socket is gone although the directory is still ours, then a sentence.
    async fn serve_until_gone(&self, mut serving: JoinHandle<()>, own: Option<u64>) -> Option<String> {
        tokio::select! {
            ended = &mut serving => {
                Some(format!("the admin socket's task ended without a result: {}", ended.err()?))
            }
            // A check may wait for the disk; a request to stop does not.
            gone = self.gone(own) => {
                serving.abort();
                Some(gone)
            }
        }
    }

    /// Ends when the socket is to be made again. Tells while the whole directory is gone, also if another process has made one
    /// with a socket in its place.
    async fn gone(&self, own: Option<u64>) -> String {
        let directory = self.read_model.directory().display();
        let mut is_gone = false;
        loop {
            sleep(RETRY_INTERVAL).await;
            // Each time: another directory may have come in its place between two checks.
            let is_own = own.is_none() || self.inode(SERVING_LOCK).await == own;
            let has_socket = self.inode(ADMIN_SOCKET).await.is_some();
            if is_own && std::mem::replace(&mut is_gone, false) {
                self.api.directory_gone.store(Arc::default());
                tracing::info!("{directory} is there again");
            }
            if is_own && !has_socket {
                return format!("{ADMIN_SOCKET} in {directory} was removed, and is made again");
            }
            if !is_own && !std::mem::replace(&mut is_gone, true) {
                let trouble = format!(
                    "{SERVING_LOCK} in {directory} was removed or is another process's, and the read model with it, if that is gone as \
                     well: queries are answered from what is open; restart this process"
                );
                tracing::error!("{trouble}");
                self.api.directory_gone.store(Arc::new(Some(trouble)));
            }
        }
    }

    /// Which file of the directory has this name, if there is one.
    async fn inode(&self, name: &'static str) -> Option<u64> {
        let path = self.read_model.directory().join(name);
        let found = spawn_blocking(move || std::fs::symlink_metadata(path)).await;
        found.ok()?.ok().map(|file| file.ino())
    }

    async fn take(&self) -> DirectoryLock {
        loop {
            let (directory, holder) = (self.read_model.directory().to_owned(), self.holder.clone());
            let taken =
                spawn_blocking(move || DirectoryLock::acquire(&directory, SERVING_LOCK, &holder)).await;
            if let Ok(Ok(lock)) = taken {
                tracing::info!("this process now owns the read model");
                return lock;
            }
            sleep(RETRY_INTERVAL).await;
        }
    }
}
