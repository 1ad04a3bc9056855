//! Why journal and index cannot be begun with.

use std::io;
use std::path::PathBuf;

use daybook_journal::{OpenError, ReadError};
use daybook_store::{EIO, StoreError};
use uuid::Uuid;

use super::end::Missing;
use crate::group::GroupError;

/// What helps where bytes are not what they were.
const REMEDY: &str = "; if that does not pass, keep a copy of the service's directory, then start with --recover to rebuild it from \
                      the log and what of the journal can be read";

/// Why journal and index cannot be begun with.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The journal cannot be opened.
    #[error("{}{}", .0, remedy(.0))]
    Journal(#[from] OpenError),
    /// The index cannot be opened, read or written, and that is for the disk to mend.
    #[error("{0}; the store was being opened, and is again as soon as the disk lets it")]
    Store(#[from] GroupError),
    /// What the index needs cannot be read from the journal.
    #[error("{0}{REMEDY}")]
    Read(#[from] ReadError),
    /// The index was made of another journal.
    #[error(
        "the store in {dir} was made of journal {index}, and the journal beside it is {journal}: bring back what belongs together, or \
         move {dir}/index away, which is built again from the log and the journal"
    )]
    OtherJournal {
        /// The store's directory.
        dir: String,
        /// The journal that the index is made of.
        index: Uuid,
        /// The journal that is there.
        journal: Uuid,
    },
    /// There is no journal beside the index.
    #[error(
        "the store in {dir} was made of journal {index}, and there is no journal beside it: bring {dir}/journal back; without it, what \
         Kafka does not have is lost. If nothing brings it back, start with --recover, which takes what the log has"
    )]
    NoJournal {
        /// The store's directory.
        dir: String,
        /// The journal that the index is made of.
        index: Uuid,
    },
    /// There is neither a journal nor an index, where there were both.
    #[error(
        "there is no journal in {dir}, and this directory has written to the topic before (epoch {epoch}): bring {dir}/journal back; without \
         it, what Kafka does not have is lost. If nothing brings it back, or a --recover was interrupted, start with --recover, which takes \
         what the log has"
    )]
    NothingKept {
        /// The store's directory.
        dir: String,
        /// Epoch of its last claim.
        epoch: u32,
    },
    /// The index cannot be put aside.
    #[error("the index in {} cannot be put aside: {source}", dir.display())]
    Aside {
        /// The store's directory.
        dir: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The index is damaged, as far as can be told, and the disk takes nothing.
    #[error(
        "the index in {} cannot be read, and the disk takes no writes: {source}; it is looked at again as soon as it does", dir.display()
    )]
    NoRoom {
        /// The store's directory.
        dir: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The brokers are of another cluster.
    #[error(
        "the store in {dir} belongs to the Kafka cluster {known}, and the brokers are of cluster {found}: correct --brokers; or, if the \
         topics were moved there, start with --adopt-cluster, which compares them with the store as at every start and sends again what \
         they lack"
    )]
    OtherCluster {
        /// The store's directory.
        dir: String,
        /// The cluster that it was last used with.
        known: String,
        /// The one that answers.
        found: String,
    },
    /// The end of the journal is gone, and not all of it is in the log.
    #[error(
        "the journal in {dir} has lost its end: {missing}, nor is what may have been decided after them{REMEDY}"
    )]
    End {
        /// The store's directory.
        dir: String,
        /// What is missing.
        missing: Missing,
    },
    /// Events that were not sent are gone with a part of the journal.
    #[error(
        "{damage}: {missing}{REMEDY}. What was decided behind them in these partitions and was not sent is given up by that as well, since \
         the log takes nothing behind a gap"
    )]
    Unsent {
        /// What of the journal cannot be read.
        damage: String,
        /// What is gone with it.
        missing: Missing,
    },
    /// The log may be somebody else's.
    #[error(
        "{damage}: whether the event at position {position} of partition {partition}, with which the log ends, is the one that was decided \
         here cannot be told without it{REMEDY}"
    )]
    Unknown {
        /// What of the journal cannot be read.
        damage: String,
        /// The partition.
        partition: usize,
        /// The position.
        position: u64,
    },
}

impl KeptError {
    /// Whether the disk does not do as asked, so that another attempt may succeed.
    pub(crate) fn is_of_the_disk(&self) -> bool {
        match self {
            Self::Journal(OpenError::Io { source, .. }) | Self::Read(ReadError::Io { source, .. }) => {
                is_of_the_disk(source)
            }
            Self::Aside { source, .. } => is_of_the_disk(source),
            Self::NoRoom { .. } => true,
            Self::Store(error) => !error.is_damage(),
            _ => false,
        }
    }
}

/// Whether a disk that is full, read-only or failing is at fault.
pub(crate) fn is_of_the_disk(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull, TimedOut};
    let of_the_disk = [FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull, TimedOut];
    of_the_disk.contains(&error.kind()) || error.raw_os_error() == Some(EIO)
}

fn remedy(error: &OpenError) -> &'static str {
    if error.is_damage() { REMEDY } else { "" }
}

impl From<StoreError> for KeptError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.into())
    }
}
