//! What can go wrong with a generation on disk.

use std::io;
use std::path::{Path, PathBuf};

use daybook_store::{Cause, DatabaseError, Doing, LockError, too_many_files};
use uuid::Uuid;

use super::codec::RowError;

/// The store failed: the disk is full or broken, or its files are damaged.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "cannot {action} the read model in {}: {detail}. {}",
    path.display(),
    remedy(*failure, detail)
)]
pub struct StoreError {
    /// What was tried: `read`, `write`, …
    pub action: &'static str,
    pub path: PathBuf,
    pub detail: String,
    pub failure: Failure,
}

/// What decides which remedy helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The disk did not take a write, which sled never forgets: once the disk takes writes again the store has to be opened
    /// afresh.
    Write,
    /// The files are not what was written: nothing but another generation helps.
    Damage,
    /// Anything else, such as a read that failed: it may pass.
    Other,
}

fn remedy(failure: Failure, detail: &str) -> &'static str {
    match failure {
        Failure::Damage => "It is not what was written: rebuild it with `projector --replay`",
        Failure::Write | Failure::Other => too_many_files(detail).unwrap_or(
            "Check the disk's space and rights; if its files are damaged, rebuild it with `projector --replay`",
        ),
    }
}

impl StoreError {
    /// What was tried, where, and what the system or the store said.
    pub fn new(action: &'static str, path: &Path, error: impl ToString) -> Self {
        Self { action, path: path.to_owned(), detail: error.to_string(), failure: Failure::Other }
    }

    pub(super) fn of(failure: Failure, action: &'static str, path: &Path, error: impl ToString) -> Self {
        Self { failure, ..Self::new(action, path, error) }
    }

    pub fn is_damage(&self) -> bool {
        self.failure == Failure::Damage
    }

    /// The same of files that are not what was written.
    pub fn damaged(action: &'static str, path: &Path, error: impl ToString) -> Self {
        Self::of(Failure::Damage, action, path, error)
    }

    /// An error of reading or writing a file of our own, which says of itself whether the file is damaged.
    pub(super) fn of_file(action: &'static str, path: &Path, error: &io::Error) -> Self {
        let damage = [io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof, io::ErrorKind::NotFound];
        let failure = if damage.contains(&error.kind()) { Failure::Damage } else { Failure::Other };
        Self::of(failure, action, path, error)
    }
}

impl From<DatabaseError> for StoreError {
    /// What sled only cannot read may pass. A write that has failed, maybe earlier, does not.
    fn from(error: DatabaseError) -> Self {
        let failure = match (error.earlier, error.cause) {
            (Some(Cause::Damage), _) | (None, Cause::Damage) => Failure::Damage,
            (Some(_), _) => Failure::Write,
            (None, _) if error.doing == Doing::Sync => Failure::Write,
            (None, _) => Failure::Other,
        };
        let action = match error.doing {
            Doing::Open => "open",
            Doing::Read => "read",
            Doing::Write => "write",
            Doing::Sync => "sync",
        };
        Self::of(failure, action, &error.dir, error.detail)
    }
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "row {key} of view {view} is damaged: {source}. Rebuild the read model with `projector --replay`"
    )]
    Row { view: &'static str, key: Uuid, source: RowError },
}

impl ReadError {
    pub fn row(view: &'static str, key: Uuid) -> impl FnOnce(RowError) -> Self {
        move |source| Self::Row { view, key, source }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum GenerationError {
    #[error(transparent)]
    Lock(LockError),
    #[error("generation {} is in use by {holder}; one process owns a generation at a time", path.display())]
    InUse { path: PathBuf, holder: String },
    #[error("there is no generation in {}; build one with `projector --replay`", path.display())]
    Missing { path: PathBuf },
    #[error("cannot build a generation in {}: the directory is not empty; name an empty or a new one", path.display())]
    NotEmpty { path: PathBuf },
    #[error("generation {} was never finished; build a new one with `projector --replay`", path.display())]
    Unfinished { path: PathBuf },
    #[error(
        "generation {} has layout {found}, this program reads layout {expected}; rebuild it with `projector --replay`",
        path.display()
    )]
    ForeignLayout { path: PathBuf, found: String, expected: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DatabaseError> for GenerationError {
    fn from(error: DatabaseError) -> Self {
        Self::Store(error.into())
    }
}

impl GenerationError {
    /// Whether its files are not what was written, as a power cut may leave them, or are not there.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Missing { .. }) || matches!(self, Self::Store(error) if error.is_damage())
    }

    /// Whether nothing but another generation helps: it is damaged, unfinished, or of another layout. All else may pass, such as a
    /// full disk, or another process that has it.
    pub fn is_lasting(&self) -> bool {
        self.is_damage() || matches!(self, Self::ForeignLayout { .. } | Self::Unfinished { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_is_not_blamed_on_the_disk() {
        let said = |failure| {
            let path = Path::new("gen-000001");
            StoreError::of(failure, "open", path, "a reason").to_string()
        };
        assert!(said(Failure::Write).contains("space") && said(Failure::Other).contains("space"));
        let damaged = said(Failure::Damage);
        assert!(damaged.contains("projector --replay") && !damaged.contains("space"), "{damaged}");
    }

    #[test]
    fn what_cannot_be_read_may_pass_and_a_write_that_failed_earlier_does_not() {
        let failure = |doing, cause, earlier| {
            let (dir, detail) = (PathBuf::from("gen-000001/rows"), "a reason".to_owned());
            StoreError::from(DatabaseError { doing, dir, detail, cause, earlier }).failure
        };
        for cause in [Cause::Disk, Cause::Short, Cause::Bug, Cause::Other] {
            assert_eq!(failure(Doing::Read, cause, None), Failure::Other, "{cause:?}");
            assert_eq!(failure(Doing::Sync, cause, None), Failure::Write, "{cause:?}");
            assert_eq!(failure(Doing::Read, Cause::Damage, Some(cause)), Failure::Write, "{cause:?}");
            assert_eq!(failure(Doing::Read, cause, Some(Cause::Damage)), Failure::Damage, "{cause:?}");
        }
        assert_eq!(failure(Doing::Open, Cause::Damage, None), Failure::Damage);
    }
}
