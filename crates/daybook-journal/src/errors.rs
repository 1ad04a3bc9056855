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
        _ => "check that the disk has room and may be written",
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the journal in {} cannot {doing}: {source}; {}", path.display(), remedy(source))]
    Io { path: PathBuf, doing: &'static str, source: io::Error },
    #[error("{} is not a file of a journal; move it away", path.display())]
    Foreign { path: PathBuf },
    #[error("the journal in {} lacks segment {segment}, which is needed; restore that file", path.display())]
    Missing { path: PathBuf, segment: u64 },
    #[error("{} at byte {byte}: {damaged}", path.display())]
    Segment { path: PathBuf, byte: u64, damaged: Damaged },
    #[error("{} at byte {byte}: record {number} was acknowledged and is damaged ({damaged}): {proof}", path.display())]
    Acknowledged { path: PathBuf, byte: u64, number: u64, damaged: Damaged, proof: String },
    #[error("{} does not continue the segment before it at record {number}: it is a copy from another time", path.display())]
    Line { path: PathBuf, number: u64 },
    #[error(
        "the journal in {} belongs to {found:?}, but this process is {expected:?}; use the version that wrote it last, with its \
         settings", path.display()
    )]
    Identity { path: PathBuf, found: Box<Identity>, expected: Box<Identity> },
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

/// Why a group was not appended: nothing of it was written, unless it is `Failed`.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// It may be tried again.
    #[error("the journal has no room: {detail}; free some on its disk")]
    NoRoom { detail: String },
    #[error(
        "a group of {bytes} bytes is larger than a record of the journal, which takes up to {RECORD_BYTES_MAX}"
    )]
    TooLarge { bytes: usize },
    #[error("position {found} of partition {partition} does not follow: {expected} is next")]
    Position { partition: i32, expected: u64, found: u64 },
    /// Nothing can be appended until a new process has opened the journal.
    #[error(
        "the journal cannot be {doing}: {source}; what is on the disk is not known, so the process must end"
    )]
    Failed { doing: &'static str, source: io::Error },
    #[error("the journal has failed before: {0}")]
    Unusable(String),
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{} cannot be read at byte {byte}: {source}", path.display())]
    Io { path: PathBuf, byte: u64, source: io::Error },
    #[error("{} at byte {byte}: {damaged}", path.display())]
    Damaged { path: PathBuf, byte: u64, damaged: Damaged },
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
