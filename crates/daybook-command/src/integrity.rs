//! Why a service that runs must not go on with its journal or its index.

use std::path::PathBuf;

use daybook_journal::AppendError;
use daybook_store::StoreError;

use super::group::GroupError;
use super::index::RedoError;

/// Why journal or index must not be gone on with, for now or for good.
#[derive(Debug, thiserror::Error)]
pub enum IntegrityError {
    #[error("{0}")]
    Store(#[from] GroupError),
    #[error(transparent)]
    Redo(RedoError),
    #[error(
        "the store's index is of no more use ({reason}); it was put aside as {}, and is built again from the log and the journal at \
         the next start, which loses nothing", aside.display()
    )]
    IndexAside { reason: String, aside: PathBuf },
    #[error(
        "the store's index is of no more use ({reason}); it is left where it is, since it could not be built again when this process \
         started; the next start builds it if the whole log can be read by then, which loses nothing"
    )]
    IndexLeft { reason: String },
    #[error("{0}")]
    JournalFailed(String),
    #[error(transparent)]
    Journal(#[from] AppendError),
    #[error("{0}; this is a mistake of this program, and another attempt would meet it again")]
    TooLarge(String),
    #[error("the disk takes no writes: {0}")]
    NoRoom(String),
}

impl From<StoreError> for IntegrityError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.into())
    }
}

impl From<RedoError> for IntegrityError {
    fn from(error: RedoError) -> Self {
        match error {
            RedoError::Store(error) => Self::Store(error),
            error => Self::Redo(error),
        }
    }
}

impl IntegrityError {
    /// Whether it is the index that is at fault, and not the disk: it can be built again.
    pub(crate) fn is_of_the_index(&self) -> bool {
        match self {
            Self::Store(error) => error.is_damage(),
            Self::Redo(_) => true,
            _ => false,
        }
    }
}
