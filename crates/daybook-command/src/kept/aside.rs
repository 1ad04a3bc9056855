//! An index that is of no more use goes aside by one rename, and is built again at the next start.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::directory::{aside_of, index_of, remove};
use crate::store::sync_dir;

/// A file that is written, synced and removed to see whether the disk takes that.
const TRIAL: &str = "trial";
/// Its size: a segment of the index, and something.
const TRIAL_BYTES: usize = 2 * 1024 * 1024;

/// Puts the index of a store aside and returns where it is now. One is kept, the last.
pub(crate) fn put_aside(store: &Path) -> io::Result<PathBuf> {
    let (index, aside) = (index_of(store), aside_of(store));
    remove(&aside)?;
    fs::rename(&index, &aside)?;
    sync_dir(store)?;
    Ok(aside)
}

/// Whether the disk takes what an index needs to go on.
pub(crate) fn takes_writes(store: &Path) -> io::Result<()> {
    let path = store.join(TRIAL);
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&vec![0; TRIAL_BYTES])?;
        file.sync_all()
    });
    // On a full disk even an empty file may be one too many.
    let removed = if path.exists() { fs::remove_file(&path) } else { Ok(()) };
    written.and(removed)
}
