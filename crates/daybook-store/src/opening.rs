//! What has to be done to a directory of sled 0.34 before sled opens it.

use std::fs::{self, File};
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, thread};

use crate::error::Cause;
use crate::files;

/// The file with sled's log.
pub(crate) const LOG_FILE: &str = "db";
/// sled's other files: its settings, and notes of where its pages are, by their place in the log.
const SETTINGS_FILE: &str = "conf";
const SNAPSHOT_PREFIX: &str = "snap.";
const BLOBS: &str = "blobs";
/// How long sled may keep its lock after a database was closed; then opening it fails with sled's words.
const UNLOCK_TIMEOUT: Duration = Duration::from_secs(10);
const UNLOCK_POLL: Duration = Duration::from_millis(5);

/// Why sled should not even try.
pub(crate) struct NotReady {
    pub(crate) detail: String,
    pub(crate) cause: Cause,
}

/// Waits for the lock, removes what an opening that was cut short has left, and makes durable what a process that was killed has
/// written. A directory that is not there is ready, if the system gives the threads that any opening needs. Nobody else may open
/// it meanwhile: the caller holds a lock of a directory above.
pub(crate) fn prepare(dir: &Path) -> Result<(), NotReady> {
    if let Some(detail) = misplaced(dir) {
        return Err(NotReady { detail, cause: Cause::Damage });
    }
    wait_unlocked(&dir.join(LOG_FILE));
    let tidied = check_threads().and_then(|()| tidy(dir));
    // None of these is damage.
    tidied.map_err(|error| NotReady { detail: error.to_string(), cause: Cause::Other })
}

/// What sled would say no more of than what the system said.
fn misplaced(dir: &Path) -> Option<String> {
    let is_sleds =
        |name: &str| [SETTINGS_FILE, LOG_FILE].contains(&name) || name.starts_with(SNAPSHOT_PREFIX);
    files::misplaced(dir, is_sleds).or_else(|| files::misplaced_directory(&dir.join(BLOBS)))
}

/// sled keeps its lock on the file for a moment after a database was dropped, since its threads end a little later. Nobody
/// else can have it.
fn wait_unlocked(file: &Path) {
    let began = Instant::now();
    while files::is_locked(file) && began.elapsed() < UNLOCK_TIMEOUT {
        thread::sleep(UNLOCK_POLL);
    }
}

/// sled notes where its pages are at each opening, as `snap.<lsn>.generating` first. One that was cut short, by a full disk
/// or a kill, it would take for the newest note and call the database corrupt, for ever. The note before it and the log are
/// complete: that one goes after the renaming only.
///
/// An opening writes: it empties the rest of the last segment. On top of what nobody had synced that could be more than
/// the segment that sled keeps between where a page was moved to and the write over its old place, so that a power cut
/// could leave neither.
fn tidy(dir: &Path) -> io::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(SNAPSHOT_PREFIX) && name.ends_with(".generating") {
            tracing::warn!(file = %entry.path().display(), "an earlier opening of the store was cut short; what it left is removed");
            fs::remove_file(entry.path())?;
        }
    }
    match File::open(dir.join(LOG_FILE)) {
        Ok(file) => file.sync_data(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Threads that sled begins at the first opening in a process, and one more for a store that it syncs by the clock.
const THREADS: usize = 7 + 1;

/// Sees whether the system gives the threads of an opening. sled itself only says so in the log if it gets none, and then waits
/// for ever for work that nobody does.
pub(crate) fn check_threads() -> io::Result<()> {
    check(|work| Builder::new().spawn(work)).map_err(|error| {
        let reason =
            format!("the system gives no thread for the store: {error}; check the limits of this process");
        io::Error::new(error.kind(), reason)
    })
}

/// Begins all of them before the first one ends, since sled's stay, and ends them again.
fn check(mut begin: impl FnMut(Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>>) -> io::Result<()> {
    let (mut begun, mut result) = (Vec::new(), Ok(()));
    for _ in 0..THREADS {
        let (end, ends) = channel::<()>();
        // Received is that nobody sends any more.
        let wait = move || {
            let _ended = ends.recv();
        };
        match begin(Box::new(wait)) {
            Ok(thread) => begun.push((end, thread)),
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    for (end, thread) in begun {
        drop(end);
        // It does nothing that could panic.
        let _joined = thread.join();
    }
    result
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Of a system that gives so many threads at the same time.
    fn checked(threads_max: usize) -> io::Result<()> {
        let alive = Arc::new(AtomicUsize::new(0));
        let result = check(|work| {
            if alive.fetch_add(1, Ordering::SeqCst) == threads_max {
                alive.fetch_sub(1, Ordering::SeqCst);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let alive = alive.clone();
            Builder::new().spawn(move || {
                work();
                alive.fetch_sub(1, Ordering::SeqCst);
            })
        });
        assert_eq!(alive.load(Ordering::SeqCst), 0, "none is left");
        result
    }

    #[test]
    fn the_threads_of_an_opening_are_asked_for_at_the_same_time() {
        checked(THREADS).unwrap();
        for too_few in [0, 1, THREADS - 1] {
            assert_eq!(checked(too_few).unwrap_err().kind(), io::ErrorKind::WouldBlock, "{too_few}");
        }
    }
}
