//! Why journal and index cannot be begun with.

use std::io;
use std::path::PathBuf;

use daybook_journal::{OpenError, ReadError};
use daybook_store::{EIO, StoreError};
use uuid::Uuid;

use super::end::Missing;
use crate::group::GroupError;

const REMEDY: &str = "; if that does not pass, keep a copy of the service's directory, then start with --recover to rebuild it from \
                      the log and what of the journal can be read";

#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    #[error("{}{}", .0, remedy(.0))]
    Journal(#[from] OpenError),
    #[error("{0}; the store was being opened, and is again as soon as the disk lets it")]
    Store(#[from] GroupError),
    #[error("{0}{REMEDY}")]
    Read(#[from] ReadError),
    #[error(
        "the store in {dir} was made of journal {index}, and the journal beside it is {journal}: bring back what belongs together, or \
         move {dir}/index away, which is built again from the log and the journal"
    )]
    OtherJournal { dir: String, index: Uuid, journal: Uuid },
    #[error(
        "the store in {dir} was made of journal {index}, and there is no journal beside it: bring {dir}/journal back; without it, what \
         Kafka does not have is lost. If nothing brings it back, start with --recover, which takes what the log has"
    )]
    NoJournal { dir: String, index: Uuid },
    #[error(
        "there is no journal in {dir}, and this directory has written to the topic before (epoch {epoch}): bring {dir}/journal back; without \
         it, what Kafka does not have is lost. If nothing brings it back, or a --recover was interrupted, start with --recover, which takes \
         what the log has"
    )]
    NothingKept { dir: String, epoch: u32 },
    #[error("the index in {} cannot be put aside: {source}", dir.display())]
    Aside { dir: PathBuf, source: io::Error },
    #[error(
        "the index in {} cannot be read, and the disk takes no writes: {source}; it is looked at again as soon as it does", dir.display()
    )]
    NoRoom { dir: PathBuf, source: io::Error },
    #[error(
        "the store in {dir} belongs to the Kafka cluster {known}, and the brokers are of cluster {found}: correct --brokers; or, if the \
         topics were moved there, start with --adopt-cluster, which compares them with the store as at every start and sends again what \
         they lack"
    )]
    OtherCluster { dir: String, known: String, found: String },
    #[error(
        "the journal in {dir} has lost its end: {missing}, nor is what may have been decided after them{REMEDY}"
    )]
    End { dir: String, missing: Missing },
    #[error(
        "{damage}: {missing}{REMEDY}. What was decided behind them in these partitions and was not sent is given up by that as well, since \
         the log takes nothing behind a gap"
    )]
    Unsent { damage: String, missing: Missing },
    #[error(
        "{damage}: whether the event at position {position} of partition {partition}, with which the log ends, is the one that was decided \
         here cannot be told without it{REMEDY}"
    )]
    Unknown { damage: String, partition: usize, position: u64 },
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
