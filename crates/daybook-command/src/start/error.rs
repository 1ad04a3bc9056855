//! Why a service does not start, and whether another attempt may succeed.

use std::error::Error;
use std::io;

use daybook_journal::{AppendError, ReadError};
use daybook_kafka::LogError;
use daybook_kafka::topics::TopicError;
use daybook_store::{EIO, StoreError};

use crate::fencing::ClaimError;
use crate::reconcile::CompareError;
use crate::recover::RecoverError;
use crate::store::KeptError;
use crate::store::before::UpgradeError;
use crate::store::directory::DirectoryError;

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error("the system's clock says a time before 1970, with which neither Kafka nor HTTP can work; set it")]
    Clock,
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("{0}")]
    Topic(#[from] TopicError),
    #[error("{0}")]
    Kept(#[from] Box<KeptError>),
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error(
        "this start needs all partitions of its topic, and is tried again until all are answered for: {0} (a start continues without one \
         only if nothing is to be rebuilt or taken over, the directory is sound, and no other process has claimed the topic since)"
    )]
    Away(TopicError),
    #[error(
        "{source}. It is needed because the store's index is unusable and has to be built again: {reason}"
    )]
    ToBuild { reason: String, source: Box<StartError> },
    #[error("{0}")]
    Claim(#[from] ClaimError),
    #[error("{0}")]
    Upgrade(#[from] UpgradeError),
    #[error("the store could not be rebuilt, and the journal that was there is untouched: {0}")]
    Recover(#[from] RecoverError),
}

impl From<KeptError> for StartError {
    fn from(error: KeptError) -> Self {
        Self::Kept(Box::new(error))
    }
}

impl StartError {
    /// The same, as met by a start whose index is to be built again for this reason, if there is one.
    pub(super) fn for_index(self, reason: Option<&str>) -> Self {
        match reason {
            Some(reason) => Self::ToBuild { reason: reason.to_owned(), source: Box::new(self) },
            None => self,
        }
    }

    /// Whether another attempt may succeed: the disk may do as asked by then, a partition be answered for, or take a claim.
    pub(crate) fn may_pass(&self) -> bool {
        passes(self)
    }
}

fn passes(cause: &(dyn Error + 'static)) -> bool {
    fn is<E: Error + 'static>(cause: &(dyn Error + 'static), passes: impl Fn(&E) -> bool) -> bool {
        let boxed = || cause.downcast_ref::<Box<E>>().map(|error| &**error);
        cause.downcast_ref().or_else(boxed).is_some_and(passes)
    }
    is(cause, is_of_the_disk)
        || is(cause, |error: &StoreError| !error.is_damage())
        || is(cause, |error| matches!(error, AppendError::NoRoom { .. } | AppendError::Failed { .. }))
        || is(cause, |error| matches!(error, KeptError::NoRoom { .. }))
        || is(cause, |error| matches!(error, StartError::Away(_)))
        // Whatever the system says, the topic was claimed by then: the next start would read it from its beginning once more.
        || is(cause, |error| matches!(error, RecoverError::ReadOne(ReadError::Io { .. })))
        || is(cause, |error| matches!(error, ClaimError::NoneTaken { .. }))
        || is(cause, |error| matches!(error, LogError::Silent { .. }))
        || is(cause, |error| matches!(error, TopicError::Log(LogError::Silent { .. })))
        || is(cause, TopicError::is_away)
        || cause.source().is_some_and(passes)
}

/// Whether a disk that is full, read-only or failing is at fault.
fn is_of_the_disk(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull, TimedOut};
    let of_the_disk = [FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull, TimedOut];
    of_the_disk.contains(&error.kind()) || error.raw_os_error() == Some(EIO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_found_below_whatever_wraps_it() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let topic = || "t".to_owned();
        let takes_none = TopicError::TakesNoWrites { topic: topic(), partition: 0, waited_ms: 1 };
        let unwritable = |source| DirectoryError::Unwritable { path: "d".into(), source };
        let unread = ReadError::Io { path: "d".into(), byte: 0, source: full() };
        let unreadable =
            || ReadError::Io { path: "d".into(), byte: 0, source: io::Error::other("no handles") };
        let passing: [StartError; 13] = [
            RecoverError::ReadOne(unreadable()).into(),
            unwritable(full()).into(),
            ClaimError::from(unwritable(full())).into(),
            CompareError::from(unread).into(),
            KeptError::Aside { dir: "d".into(), source: full() }.into(),
            // Whatever the disk says.
            KeptError::NoRoom { dir: "d".into(), source: io::Error::other("no") }.into(),
            RecoverError::from(KeptError::from(StoreError::Failed)).into(),
            RecoverError::from(AppendError::NoRoom { detail: String::new() }).into(),
            UpgradeError::from(KeptError::from(StoreError::Failed)).into(),
            StartError::Away(TopicError::Missing { topic: topic() }).for_index(Some("it is damaged")),
            ClaimError::NoneTaken { reason: String::new() }.into(),
            ClaimError::from(CompareError::from(takes_none)).into(),
            RecoverError::from(LogError::Silent { topic: topic(), partition: 0, waited_ms: 1 }).into(),
        ];
        for error in passing {
            assert!(error.may_pass(), "{error:?}");
        }
        let staying: [StartError; 6] = [
            CompareError::from(unreadable()).into(),
            StartError::Clock,
            unwritable(io::ErrorKind::PermissionDenied.into()).into(),
            KeptError::from(StoreError::NotAsWritten).into(),
            TopicError::Missing { topic: topic() }.into(),
            RecoverError::Gone.into(),
        ];
        for error in staying {
            assert!(!error.may_pass(), "{error:?}");
        }
    }
}
