//! The thread that keeps one spare segment ready, so that changing to a new one costs no writing of zeros.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::directory::Directory;

/// Pause before a disk that had no room is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Whether there is a spare segment, and why not.
#[derive(Debug, Default)]
struct State {
    ready: bool,
    failure: Option<(io::ErrorKind, String)>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State) {
        *self.lock() = state;
        self.changed.notify_all();
    }
}

#[derive(Debug)]
pub(crate) struct Spare {
    shared: Arc<Shared>,
    /// Dropped first, so that the thread ends.
    wanted: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Spare {
    pub(crate) fn start(directory: Directory, bytes: u64) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        // One wish is as good as many.
        let (wanted, wishes) = sync_channel(1);
        let work = {
            let shared = Arc::clone(&shared);
            move || keep_one_ready(&directory, bytes, &wishes, &shared)
        };
        let thread = thread::Builder::new().name("journal-spare".to_owned()).spawn(work)?;
        let spare = Self { shared, wanted: Some(wanted), thread: Some(thread) };
        spare.taken();
        Ok(spare)
    }

    /// The spare was used: another one is wanted.
    pub(crate) fn taken(&self) {
        self.shared.set(State::default());
        match self.wanted.as_ref().map(|wanted| wanted.try_send(())) {
            // A wish that is already there, or a thread that ended: waiting for it then says so by its bound.
            None | Some(Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(()))) => {}
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.shared.lock().ready
    }

    /// Why there is none, if making it failed.
    pub(crate) fn failure(&self) -> Option<String> {
        self.shared.lock().failure.as_ref().map(|(_, failure)| failure.clone())
    }

    /// Waits until a spare is ready, or making it failed, at most so long.
    pub(crate) fn wait(&self, timeout: Duration) -> io::Result<()> {
        let undecided = |state: &mut State| !state.ready && state.failure.is_none();
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), timeout, undecided);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match (&state.failure, state.ready) {
            (_, true) => Ok(()),
            (Some((kind, failure)), false) => Err(io::Error::new(*kind, failure.clone())),
            (None, false) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        drop(self.wanted.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that makes spare segments of the journal has panicked");
        }
    }
}

fn keep_one_ready(directory: &Directory, bytes: u64, wishes: &Receiver<()>, shared: &Shared) {
    let mut failed = false;
    loop {
        let wish = if failed { wishes.recv_timeout(RETRY_PAUSE) } else { wishes.recv().map_err(Into::into) };
        if wish == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        let made = if directory.has_spare(bytes) { Ok(()) } else { directory.make_spare(bytes) };
        failed = made.is_err();
        let failure = made.err().map(|error| (error.kind(), error.to_string()));
        shared.set(State { ready: !failed, failure });
    }
}
