//! Files and directories, with the syncing that makes a change survive a power cut.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What stands behind a name while its new content is being written.
pub(super) const TEMPORARY_SUFFIX: &str = ".tmp";

/// Replaces `path` in one step, but not durably: readers see the old content or the new.
pub(super) fn replace_fast(path: &Path, content: &str) -> io::Result<()> {
    let temporary = temporary(path);
    fs::write(&temporary, content)?;
    fs::rename(&temporary, path)
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY_SUFFIX);
    name.into()
}

/// Replaces `path` in one step: readers see the old content or the new, whatever happens.
pub(super) fn replace(path: &Path, content: &str) -> io::Result<()> {
    let temporary = temporary(path);
    let mut file = File::create(&temporary)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_parent(path)
}

/// One line with a line of its checksum behind it.
pub(super) fn with_sum(line: &str) -> String {
    format!("{line}\n{}\n", blake3::hash(line.as_bytes()).to_hex())
}

/// The line before the checksum, if that is right.
pub(super) fn without_sum(text: &[u8]) -> Option<&[u8]> {
    let (text, sum_at) = (text.strip_suffix(b"\n")?, text.iter().position(|byte| *byte == b'\n')?);
    let (line, sum) = (&text[..sum_at], text.get(sum_at + 1..)?);
    (sum == blake3::hash(line).to_hex().as_bytes()).then_some(line)
}

/// Writes a file in its place: it and its name are durable when this returns. Until then it may have any content.
pub(super) fn write(path: &Path, content: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    sync_parent(path)
}

/// Makes the names in the directory of `path` durable.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// Makes all files below `directory` durable, and their names.
pub(super) fn sync_all_below(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_all_below(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(directory)?.sync_all()
}

/// Bytes of all files below `directory`. Files that vanish meanwhile count nothing.
pub(super) fn bytes_below(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        bytes += match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path())?,
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(bytes)
}

/// Whether some open file holds the lock of `path` for itself alone. A file that cannot be asked counts as not locked. Who
/// asks shares the lock for a moment with others who ask, so that they do not take one another for its holder.
pub(super) fn is_locked(path: &Path) -> bool {
    let asked = File::open(path).map(|file| file.try_lock_shared());
    matches!(asked, Ok(Err(TryLockError::WouldBlock)))
}
