//! Files and directories, with the syncing that makes a change survive a power cut. Errors are those of the system.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What stands behind a name while its new content is being written.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

/// Replaces `path` in one step: whatever happens, readers see the old content or the new, which is durable when this returns.
pub fn replace(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    let temporary = temporary(path);
    // The caller knows the other name alone.
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", temporary.display()));
    let mut file = File::create(&temporary).map_err(named)?;
    file.write_all(content.as_ref())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_parent(path)
}

/// What a file holds; none if it is not there.
pub fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// The outcome of a removal; it is as well if there was nothing to remove.
pub fn if_there(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Replaces `path` in one step, but not durably: readers see the old content or the new.
pub fn replace_fast(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    let temporary = temporary(path);
    fs::write(&temporary, content)?;
    fs::rename(&temporary, path)
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY_SUFFIX);
    name.into()
}

/// One line with a line of its checksum behind it.
pub fn with_sum(line: &str) -> String {
    format!("{line}\n{}\n", blake3::hash(line.as_bytes()).to_hex())
}

/// The line before the checksum, if that is right.
pub fn without_sum(text: &[u8]) -> Option<&[u8]> {
    let (text, sum_at) = (text.strip_suffix(b"\n")?, text.iter().position(|byte| *byte == b'\n')?);
    let (line, sum) = (&text[..sum_at], text.get(sum_at + 1..)?);
    (sum == blake3::hash(line).to_hex().as_bytes()).then_some(line)
}

/// Writes a file in its place: it and its name are durable when this returns. Until then it may have any content.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content.as_ref())?;
    file.sync_all()?;
    sync_parent(path)
}

pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes the names in the directory of `path` durable.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => sync_dir(Path::new(".")),
    }
}

/// Makes all files below `directory` durable, and their names.
pub fn sync_all_below(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_all_below(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    sync_dir(directory)
}

/// Bytes of all files below `directory`. Files that vanish meanwhile count nothing.
pub fn bytes_below(directory: &Path) -> io::Result<u64> {
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

/// Removes what is there, if it is: a directory, or something that was put in its place.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether the disk takes so many bytes: writes, syncs and removes `path`. A directory in the place of that file says nothing of
/// the disk.
pub fn probe(path: &Path, bytes: usize) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let written = File::create(path).and_then(|mut file| {
        file.write_all(&vec![0; bytes])?;
        file.sync_all()
    });
    // Also what could only be written in part; on a full disk even an empty file may be one too many.
    let removed = if path.exists() { fs::remove_file(path) } else { Ok(()) };
    written.and(removed)
}

/// What is wrong, if an entry of a directory that should be a file is none. What cannot be looked at is reported where it is opened.
pub fn misplaced(directory: &Path, is_file: impl Fn(&str) -> bool) -> Option<String> {
    let is_other = |path: &Path| fs::metadata(path).is_ok_and(|found| !found.is_file());
    let mut entries = fs::read_dir(directory).ok()?.flatten();
    let found =
        entries.find(|entry| entry.file_name().to_str().is_some_and(&is_file) && is_other(&entry.path()));
    let path = found?.path();
    let what = if path.is_dir() { "a directory" } else { "something else" };
    Some(format!("there is {what} where the file {} belongs", path.display()))
}

/// What is wrong, if a path should be that of a directory and is not.
pub fn misplaced_directory(path: &Path) -> Option<String> {
    let is_other = fs::metadata(path).is_ok_and(|found| !found.is_dir());
    is_other.then(|| format!("there is something else where the directory {} belongs", path.display()))
}

/// Whether some open file holds the lock of `path` for itself alone. A file that cannot be asked counts as not locked. Who
/// asks shares the lock for a moment with others who ask, so that they do not take one another for its holder.
pub fn is_locked(path: &Path) -> bool {
    let asked = File::open(path).map(|file| file.try_lock_shared());
    matches!(asked, Ok(Err(TryLockError::WouldBlock)))
}
