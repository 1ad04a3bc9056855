//! Being the one process that serves a read model: its lock, and with it the admin socket.
//!
//! A process of a new layout begins before the one of the old layout has ended; it becomes the owner when that one has.

use std::sync::Arc;

use event_log::process::DirectoryLock;
use projector::kernel::ReadModel;
use projector::kernel::read_model::SERVING_LOCK;
use tokio::time::sleep;

use super::admin;
use super::api::Api;
use super::blocking::blocking;
use super::limits::RETRY_INTERVAL;
use super::stop_signal::StopSignal;

pub(super) struct Ownership {
    pub(super) read_model: ReadModel,
    pub(super) api: Arc<Api>,
    /// Who this is, to others who find the read model in use.
    pub(super) holder: String,
    pub(super) stopped: StopSignal,
}

impl Ownership {
    /// Holds the lock until told to stop; takes it first if it is not there yet.
    pub(super) async fn keep(self, lock: Option<DirectoryLock>) {
        let lock = match lock {
            Some(lock) => lock,
            None => tokio::select! {
                lock = self.take() => lock,
                () = self.stopped.requested() => return,
            },
        };
        match admin::serve(&self.read_model, self.api, self.stopped.clone()) {
            Ok(serving) => {
                if let Err(error) = serving.await {
                    tracing::error!("the admin socket's task ended without a result: {error}");
                }
            }
            // Queries are answered all the same.
            Err(error) => {
                tracing::warn!("replays cannot be compared with what is served: {error}");
                self.stopped.requested().await;
            }
        }
        drop(lock);
    }

    async fn take(&self) -> DirectoryLock {
        loop {
            let (directory, holder) = (self.read_model.directory().to_owned(), self.holder.clone());
            let taken = blocking(move || DirectoryLock::acquire(&directory, SERVING_LOCK, &holder)).await;
            if let Ok(Ok(lock)) = taken {
                tracing::info!("this process now owns the read model");
                return lock;
            }
            sleep(RETRY_INTERVAL).await;
        }
    }
}
