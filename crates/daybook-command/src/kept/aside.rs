//! An index that is of no more use goes aside by one rename, and is built again at the next start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use daybook_store::files::{probe, remove, sync_dir};

use crate::directory::{aside_of, index_of};

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
    probe(&store.join(TRIAL), TRIAL_BYTES)
}
