//! A service's own directory: one process at a time, nothing foreign in it, and a marker that says whose it is.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use daybook_journal::Identity;
use daybook_service::{EXIT_FAILED, EXIT_IN_USE};
use daybook_store::files::{self, remove, sync_dir};
use daybook_store::{DirectoryLock, LockError, too_many_files};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::fencing::Instance;
use crate::store::before::is_from_before;
use crate::store::keys::LAYOUT;

const LOCK: &str = "LOCK";
const MARKER: &str = "daybook.json";
/// What stood behind the name of a file that is being replaced, in a version before this one.
const SUFFIX_BEFORE: &str = ".new";
const STORE: &str = "store";
/// Below it: the journal, and what is made of it.
pub(crate) const JOURNAL: &str = "journal";
pub(crate) const INDEX: &str = "index";
/// An index that was of no more use, and one that is being built.
pub(crate) const ASIDE: &str = "index.aside";
pub(crate) const BUILDING: &str = "index.building";
const LAYOUT_BEFORE_JOURNAL: u32 = 2;
/// Layout of a store whose unique keys have no form.
const LAYOUT_BEFORE_FORMS: u32 = 4;
/// Layout of a store whose index has no digest.
const LAYOUT_BEFORE_DIGEST: u32 = 5;
/// Which instance it is; see `writer`.
const WRITER: &str = Instance::FILE;
const RECOVERING: &str = "store.recovering";
const OLD_PREFIX: &str = "store.old-";
const RECOVERED: &str = "store.recovered";
/// In a store that was built and is whole.
const BUILT: &str = "built";
/// A volume of its own has this at its root.
const LOST_AND_FOUND: &str = "lost+found";

/// Whose directory it is. A store is good for one topic only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marker {
    pub(crate) service: String,
    pub(crate) layout: u32,
    pub(crate) topic: String,
    pub(crate) partitions: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marked {
    Not,
    Today,
    /// The store is of a layout before: its unique keys may have to be built again, and its index has no digest.
    Earlier,
    Before,
}

#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    #[error(
        "directory {} cannot be used: {source}; {}",
        path.display(),
        too_many_files(&source.to_string()).unwrap_or("check that it exists and may be written, or choose another with --data-dir")
    )]
    Unusable { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("{} is not a file of this service; choose an empty directory with --data-dir, or move the file away", path.display())]
    Foreign { path: PathBuf },
    #[error(
        "{marker} is missing in {}, beside a store that has the events of topic {topic} ({partitions} partitions, layout {layout}): bring \
         the file back, from a backup or written again with these four members: service, layout, topic, partitions. Do not move the \
         store away: what Kafka does not have yet is in it", path.display()
    )]
    Unmarked { path: PathBuf, marker: &'static str, topic: String, partitions: i32, layout: u32 },
    #[error(
        "{} is a store from before there was a journal, and was taken over already: it comes from a backup, or the newer one was moved \
         away; bring back what belongs to this directory, or use another one with --data-dir", path.display()
    )]
    Before { path: PathBuf },
    #[error("{} is not readable as a marker of this service: {reason}; bring the file back from a copy, or, if the directory was never this service's, choose another one with --data-dir", path.display())]
    Marker { path: PathBuf, reason: String },
    #[error("{} does not say which instance this is: {reason}; restore the file, or remove it and start with --take-over", path.display())]
    NoInstance { path: PathBuf, reason: String },
    #[error("{} cannot be written: {source}; make room on the disk, or make the directory writable", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("{} says {what} {found}, but this process has {expected}; {remedy}", path.display())]
    Other { path: PathBuf, what: &'static str, found: String, expected: String, remedy: &'static str },
}

impl DirectoryError {
    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        if matches!(self, Self::Lock(LockError::InUse { .. })) { EXIT_IN_USE } else { EXIT_FAILED }
    }
}

#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    _lock: DirectoryLock,
}

impl Directory {
    /// Makes the directory if it is missing, and locks it. Writes nothing into one that holds anything foreign.
    pub(crate) fn open(path: &Path, service: &str) -> Result<Self, DirectoryError> {
        let unusable = |source| DirectoryError::Unusable { path: path.to_owned(), source };
        make(path).map_err(unusable)?;
        refuse_foreign(path)?;
        let holder = format!("{service}, pid {}", std::process::id());
        let lock = DirectoryLock::acquire(path, LOCK, &holder)?;
        let directory = Self { path: path.to_owned(), _lock: lock };
        directory.undo_half_replacement().map_err(unusable)?;
        Ok(directory)
    }

    pub(crate) fn check_marker(&self, expected: &Marker) -> Result<Marked, DirectoryError> {
        let path = self.path.join(MARKER);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.refuse_unmarked(),
            Err(error) => return Err(DirectoryError::Marker { path, reason: error.to_string() }),
        };
        let found: Marker = serde_json::from_str(&text)
            .map_err(|error| DirectoryError::Marker { path: path.clone(), reason: error.to_string() })?;
        let before = Marker { layout: LAYOUT_BEFORE_JOURNAL, ..expected.clone() };
        if found == before && expected.layout == LAYOUT {
            return Ok(if is_from_before(&self.store()) { Marked::Before } else { Marked::Today });
        }
        let earlier = |layout| Marker { layout, ..expected.clone() };
        let is_earlier = [LAYOUT_BEFORE_FORMS, LAYOUT_BEFORE_DIGEST].map(earlier).contains(&found)
            && expected.layout == LAYOUT;
        if !is_earlier {
            compare(&path, &found, expected)?;
        }
        // What was to replace a store from before was whole when the marker was written.
        if is_from_before(&self.store()) {
            if !self.path.join(RECOVERING).join(BUILT).exists() {
                return Err(DirectoryError::Before { path: self.store() });
            }
            self.replace_store()?;
        }
        Ok(if is_earlier { Marked::Earlier } else { Marked::Today })
    }

    fn refuse_unmarked(&self) -> Result<Marked, DirectoryError> {
        let path = self.store();
        if !path.exists() {
            return Ok(Marked::Not);
        }
        let journal = path.join(JOURNAL);
        // Whose store it is, the journal says.
        let found = daybook_journal::find_readable(&journal).ok().and_then(|found| found.identity().cloned());
        match found.filter(|identity| !identity.topic.is_empty()) {
            Some(Identity { topic, partitions, layout, .. }) => {
                let (path, marker) = (self.path.clone(), MARKER);
                Err(DirectoryError::Unmarked { path, marker, topic, partitions, layout })
            }
            None => Err(DirectoryError::Foreign { path }),
        }
    }

    pub(crate) fn write_marker(&self, marker: &Marker) -> Result<(), DirectoryError> {
        let written = serde_json::to_vec_pretty(marker).map_err(io::Error::from);
        let written = written.and_then(|text| files::replace(&self.path.join(MARKER), text));
        written.map_err(|source| self.unusable(source))
    }

    pub(crate) fn instance(&self, new_id: impl FnOnce() -> Uuid) -> Result<Instance, DirectoryError> {
        Instance::open(&self.path, new_id)
    }

    /// Where the store is: journal and index.
    pub(crate) fn store(&self) -> PathBuf {
        self.path.join(STORE)
    }

    /// An empty place to build another store in; what is left of an earlier attempt is removed.
    pub(crate) fn recovering(&self) -> Result<PathBuf, DirectoryError> {
        let path = self.path.join(RECOVERING);
        remove(&path).map_err(|source| self.unusable(source))?;
        Ok(path)
    }

    /// What was built in the place that [`Directory::recovering`] gave is whole.
    pub(crate) fn recovered(&self) -> Result<(), DirectoryError> {
        let path = self.path.join(RECOVERING);
        let written = files::write(&path.join(BUILT), "").and_then(|()| sync_dir(&self.path));
        written.map_err(|source| self.unusable(source))
    }

    /// Puts the rebuilt store in the place of the old one, which is kept aside; returns where.
    pub(crate) fn replace_store(&self) -> Result<Option<PathBuf>, DirectoryError> {
        let replace = || -> io::Result<Option<PathBuf>> {
            let aside = self.old(self.last_old()?.map_or(1, |last| last.saturating_add(1)));
            let aside = self.store().exists().then_some(aside);
            if let Some(aside) = &aside {
                fs::rename(self.store(), aside)?;
            }
            sync_dir(&self.path.join(RECOVERING))?;
            fs::rename(self.path.join(RECOVERING), self.store())?;
            sync_dir(&self.path)?;
            Ok(aside)
        };
        replace().map_err(|source| self.unusable(source))
    }

    /// A process that ended between the two steps of [`Directory::replace_store`] left no store in its place. The old one
    /// is put back, so that nothing it has not sent is forgotten.
    fn undo_half_replacement(&self) -> io::Result<()> {
        if self.store().exists() || !self.path.join(RECOVERING).exists() {
            return Ok(());
        }
        let Some(number) = self.last_old()? else { return Ok(()) };
        let old = self.old(number);
        tracing::warn!(old_store = %old.display(), "a --recover was interrupted; the old store is put back");
        fs::rename(old, self.store())?;
        sync_dir(&self.path)
    }

    fn unusable(&self, source: io::Error) -> DirectoryError {
        DirectoryError::Unusable { path: self.path.clone(), source }
    }
}

pub(crate) fn journal_in(data_dir: &Path) -> PathBuf {
    data_dir.join(STORE).join(JOURNAL)
}

/// Makes the directory with all that lies above it. Its name is durable before anything is claimed in its name: a log that
/// knows an instance of which a power cut has left nothing would be refused to everybody.
fn make(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    // Each time: who made it may have been killed right behind. What may not be opened was not made here.
    let path = fs::canonicalize(path)?;
    let mut above = path.ancestors().skip(1).map_while(|above| File::open(above).ok());
    above.try_for_each(|above| above.sync_all())
}

fn refuse_foreign(path: &Path) -> Result<(), DirectoryError> {
    let unusable = |source| DirectoryError::Unusable { path: path.to_owned(), source };
    for entry in fs::read_dir(path).map_err(unusable)? {
        let entry = entry.map_err(unusable)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let ours = [LOCK, MARKER, WRITER, STORE, RECOVERING, RECOVERED, LOST_AND_FOUND].contains(&&*name);
        if !ours && !is_half_replaced(&name) && !name.starts_with(OLD_PREFIX) {
            return Err(DirectoryError::Foreign { path: entry.path() });
        }
    }
    Ok(())
}

/// A file that is replaced in one step has another name before.
fn is_half_replaced(name: &str) -> bool {
    let suffixes = [files::TEMPORARY_SUFFIX, SUFFIX_BEFORE];
    let mut names = [MARKER, WRITER].into_iter().filter_map(|file| name.strip_prefix(file));
    names.any(|suffix| suffixes.contains(&suffix))
}

fn compare(path: &Path, found: &Marker, expected: &Marker) -> Result<(), DirectoryError> {
    let members = |marker: &Marker| {
        let Marker { service, layout, topic, partitions } = marker.clone();
        [service, layout.to_string(), topic, partitions.to_string()]
    };
    let remedies = [
        ("service", "choose another directory with --data-dir"),
        ("layout version", "use the version of this program that wrote it"),
        ("topic", "correct --topic-prefix, or choose another directory with --data-dir"),
        ("partitions", "correct --partitions: with another number, keys would move to other partitions"),
    ];
    let both = members(found).into_iter().zip(members(expected));
    match remedies.into_iter().zip(both).find(|(_, (found, expected))| found != expected) {
        None => Ok(()),
        Some(((what, remedy), (found, expected))) => {
            Err(DirectoryError::Other { path: path.to_owned(), what, found, expected, remedy })
        }
    }
}

impl Directory {
    /// Stores that were put aside. They hold what could not be taken over, and states of users who have left since.
    pub(crate) fn old_stores(&self) -> Result<Vec<PathBuf>, DirectoryError> {
        let numbers = self.old_numbers().map_err(|source| self.unusable(source))?;
        Ok(numbers.into_iter().map(|number| self.old(number)).collect())
    }

    pub(crate) fn remove_old_stores(&self) -> Result<Vec<PathBuf>, DirectoryError> {
        let old = self.old_stores()?;
        let removed = old.iter().try_for_each(|old| remove(old)).and_then(|()| sync_dir(&self.path));
        removed.map(|()| old).map_err(|source| self.unusable(source))
    }

    pub(crate) fn old(&self, number: u32) -> PathBuf {
        self.path.join(format!("{OLD_PREFIX}{number:06}"))
    }

    pub(crate) fn last_old(&self) -> io::Result<Option<u32>> {
        Ok(self.old_numbers()?.last().copied())
    }

    fn old_numbers(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let number = name.to_string_lossy().strip_prefix(OLD_PREFIX).map(str::parse::<u32>);
            numbers.extend(number.and_then(Result::ok));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Where it is noted that the store was made by `--recover`, and has not been started without it since.
    pub(crate) fn recovered_note(&self) -> PathBuf {
        self.path.join(RECOVERED)
    }

    /// Notes it. A note that a power cut takes away costs one rebuild more.
    pub(crate) fn note_recovered(&self) -> Result<(), DirectoryError> {
        let noted = File::create(self.recovered_note()).and_then(|_| sync_dir(&self.path));
        noted.map_err(|source| self.unusable(source))
    }

    pub(crate) fn is_recovered(&self) -> bool {
        self.recovered_note().exists() && self.store().exists()
    }

    /// This start is one without `--recover`.
    pub(crate) fn forget_recovered(&self) -> Result<(), DirectoryError> {
        remove(&self.recovered_note()).map_err(|source| self.unusable(source))
    }
}
