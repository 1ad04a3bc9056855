//! What has to be done to a directory of sled 0.34 before sled opens it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::sled_threads::check_threads;

/// The file with sled's log.
const LOG_FILE: &str = "db";

/// Removes what an opening that was cut short has left, and makes durable what a process that was killed has written.
/// A directory that is not there is ready, if the system gives the threads that any opening needs. Nobody else may open it meanwhile: the caller holds a lock on it.
///
/// sled notes where its pages are at each opening, as `snap.<lsn>.generating` first. One that was cut short, by a full disk
/// or a kill, it would take for the newest note and call the store corrupt, for ever. The note before it and the log are
/// complete: that one goes after the renaming only.
///
/// An opening writes: it empties the rest of the last segment. On top of what nobody had synced that could be more than
/// the segment that sled keeps between where a page was moved to and the write over its old place, so that a power cut
/// could leave neither.
///
/// # Errors
/// Those of the system. None of them is damage.
pub fn prepare_sled_directory(dir: &Path) -> io::Result<()> {
    check_threads()?;
    if !dir.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
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
