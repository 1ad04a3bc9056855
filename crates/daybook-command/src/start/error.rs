//! Why a service does not start.

use daybook_journal::ReadError;
use daybook_kafka::LogError;
use daybook_kafka::topics::TopicError;
use daybook_store::LockError;

use crate::before::UpgradeError;
use crate::comparison::CompareError;
use crate::directory::DirectoryError;
use crate::kept::{KeptError, is_of_the_disk};
use crate::recover::RecoverError;
use crate::writer::{ClaimError, InstanceError};

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error("the system's clock says a time before 1970, with which neither Kafka nor HTTP can work; set it")]
    Clock,
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error(transparent)]
    Kept(Box<KeptError>),
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error(
        "this start needs all partitions of its topic, and is tried again until all are answered for: {0} (a start goes on without one \
         only if nothing is to be rebuilt or taken over, the directory is sound, and nobody has claimed the topic since)"
    )]
    Away(TopicError),
    #[error(
        "{source}. It is needed because the store's index is of no more use and has to be built again: {reason}"
    )]
    ToBuild { reason: String, source: Box<StartError> },
    #[error(transparent)]
    Instance(#[from] InstanceError),
    #[error(transparent)]
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
    /// Whether somebody may answer later for a partition that is needed, or take a claim.
    pub(crate) fn is_of_a_partition(&self) -> bool {
        let topic = match self {
            Self::ToBuild { source, .. } => return source.is_of_a_partition(),
            Self::Away(_) | Self::Claim(ClaimError::NoneTaken { .. }) => return true,
            Self::Topic(error)
            | Self::Compare(CompareError::Topic(error))
            | Self::Claim(ClaimError::Compare(CompareError::Topic(error)))
            | Self::Recover(RecoverError::Topic(error)) => error,
            Self::Recover(RecoverError::Log(error)) => return matches!(error, LogError::Silent { .. }),
            _ => return false,
        };
        topic.is_away() || matches!(topic, TopicError::Log(LogError::Silent { .. }))
    }

    /// Whether the log does not have what an index would be built of, or nobody answers for a part of it.
    pub(super) fn lacks_log(&self) -> bool {
        match self {
            Self::ToBuild { source, .. } => source.lacks_log(),
            Self::Away(_) | Self::Recover(RecoverError::Topic(TopicError::FrontDeleted { .. })) => true,
            _ => false,
        }
    }

    /// The same, as met by a start whose index is to be built again for this reason, if there is one.
    pub(super) fn for_index(self, reason: Option<&str>) -> Self {
        match reason {
            Some(reason) => Self::ToBuild { reason: reason.to_owned(), source: Box::new(self) },
            None => self,
        }
    }

    /// Whether the disk does not do as asked, so that another attempt may succeed.
    pub(crate) fn is_of_the_disk(&self) -> bool {
        match self {
            Self::ToBuild { source, .. } => source.is_of_the_disk(),
            Self::Directory(DirectoryError::Unusable { source, .. }) => is_of_the_disk(source),
            Self::Directory(DirectoryError::Lock(LockError::Io { source, .. })) => is_of_the_disk(source),
            Self::Instance(InstanceError::Unwritable { source, .. })
            | Self::Claim(ClaimError::Instance(InstanceError::Unwritable { source, .. }))
            | Self::Compare(CompareError::Journal(ReadError::Io { source, .. })) => is_of_the_disk(source),
            Self::Kept(error) => error.is_of_the_disk(),
            Self::Recover(error) => error.is_of_the_disk(),
            Self::Upgrade(error) => error.is_of_the_disk(),
            Self::Instance(error) => error.is_of_the_disk(),
            Self::Claim(ClaimError::Instance(error)) => error.is_of_the_disk(),
            _ => false,
        }
    }
}
