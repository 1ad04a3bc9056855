//! Why a journal cannot be opened, appended to or read.

use std::io;
use std::path::PathBuf;

use crate::fields::Damaged;
use crate::frame::RECORD_BYTES_MAX;
use crate::segment::Identity;

/// What the system says where the process, or all of it, has as many files open as it may.
const TOO_MANY_FILES: [i32; 2] = [24, 23];

fn remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(code) if TOO_MANY_FILES.contains(&code) => {
            "the limit of open files was reached: raise it (`ulimit -n`; where the whole system says so, `sysctl fs.file-max`)"
        }
        _ => "see that the disk has room and may be written",
    }
}

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file system does not do as asked.
    #[error("the journal in {} cannot {doing}: {source}; {}", path.display(), remedy(source))]
    Io {
        /// The directory.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// Something else lies in the directory.
    #[error("{} is not a file of a journal; move it away", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A segment is not there although it was needed.
    #[error("the journal in {} lacks segment {segment}, which was needed; bring the file back from where it went", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
        /// Its number.
        segment: u64,
    },
    /// A segment cannot be read.
    #[error("{} at byte {byte}: {damaged}", path.display())]
    Segment {
        /// The file.
        path: PathBuf,
        /// Where in it.
        byte: u64,
        /// What is wrong.
        damaged: Damaged,
    },
    /// A record that was acknowledged is damaged.
    #[error("{} at byte {byte}: record {number} was acknowledged and is damaged ({damaged}): {proof}", path.display())]
    Acknowledged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        byte: u64,
        /// The record's number.
        number: u64,
        /// What is wrong.
        damaged: Damaged,
        /// What shows that it was acknowledged.
        proof: String,
    },
    /// Two segments do not belong behind each other.
    #[error("{} does not go on where the segment before it ends, at record {number}: it is a copy of another time", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The first record that does not fit.
        number: u64,
    },
    /// The journal belongs to another topic, to another number of partitions, or to a newer version.
    #[error(
        "the journal in {} belongs to {found:?}, and this process has {expected:?}; use the version that wrote it last, and the \
         settings it had", path.display()
    )]
    Identity {
        /// The directory.
        path: PathBuf,
        /// What the journal says.
        found: Box<Identity>,
        /// What the process has.
        expected: Box<Identity>,
    },
}

impl OpenError {
    /// Whether bytes are not what they were: rebuilding from the log helps where nothing brings them back.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Segment { .. } | Self::Acknowledged { .. } | Self::Line { .. } | Self::Missing { .. }
        )
    }
}

/// Why a group was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Nothing was written, and it may be tried again: there is no room for a new segment.
    #[error("the journal has no room: {detail}; free some on its disk")]
    NoRoom {
        /// The system's reason.
        detail: String,
    },
    /// Nothing was written: the group is larger than a record may be.
    #[error(
        "a group of {bytes} bytes is larger than a record of the journal, which takes up to {RECORD_BYTES_MAX}"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Nothing was written: an event does not come behind the last one of its partition.
    #[error("position {found} of partition {partition} does not follow: {expected} is next")]
    Position {
        /// The partition.
        partition: i32,
        /// Its next position.
        expected: u64,
        /// The event's position.
        found: u64,
    },
    /// What is on the disk is not known any more. Nothing can be appended until a new process has opened the journal.
    #[error(
        "the journal cannot be {doing}: {source}; what is on the disk is not known, so the process must end"
    )]
    Failed {
        /// What was tried.
        doing: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// An earlier append has failed.
    #[error("the journal has failed before: {0}")]
    Unusable(String),
}

/// Why something of the journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system does not do as asked.
    #[error("{} cannot be read at byte {byte}: {source}", path.display())]
    Io {
        /// The segment.
        path: PathBuf,
        /// Where in it.
        byte: u64,
        /// The system's reason.
        source: io::Error,
    },
    /// One or more records are not what was written.
    #[error("{} at byte {byte}: {damaged}", path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where in it.
        byte: u64,
        /// What is wrong.
        damaged: Damaged,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_open_files_are_not_blamed_on_the_disk() {
        let said = |code| {
            let source = io::Error::from_raw_os_error(code);
            OpenError::Io { path: "journal".into(), doing: "be read", source }.to_string()
        };
        for code in TOO_MANY_FILES {
            assert!(said(code).contains("ulimit -n") && !said(code).contains("the disk"), "{}", said(code));
        }
        assert!(said(28).contains("the disk has room"));
    }
}
