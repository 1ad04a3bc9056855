//! What has to be done to a directory of sled 0.34 before sled opens it.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Cause;
use crate::files;
use crate::threads::check_threads;

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
