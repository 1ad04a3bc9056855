//! What goes wrong with a database, and what sled or the system said of it. Pure.

use std::path::PathBuf;
use std::{fmt, io};

use crate::database::VALUE_BYTES_MAX;

/// The system's number for an input or output error.
pub const EIO: i32 = 5;
const EIO_IN_WORDS: &str = "code: 5,";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    Open,
    Read,
    Write,
    /// To bring to the disk what was written.
    Sync,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// What is there is not what was written: sled says so, or panics; or something else lies where a file of it belongs.
    Damage,
    /// sled is at odds with itself.
    Bug,
    /// There are fewer bytes than there should be, or they make no sense to the system.
    Short,
    /// The disk has failed (EIO). sled hands its buffers over with `sync_file_range`, which is where the system may say so:
    /// once, and then it has forgotten that what was written is not on the disk.
    Disk,
    /// Anything else: no room, no right, no thread. It may pass.
    Other,
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", shown(self))]
pub struct DatabaseError {
    pub doing: Doing,
    pub dir: PathBuf,
    pub detail: String,
    pub cause: Cause,
    /// Of what kind those of an earlier write were that has failed, maybe in one of sled's own threads. sled remembers it until
    /// the database is opened again, and returns it to the one that comes next, which may only be reading.
    pub earlier: Option<Cause>,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(
        "some rows of the store are older than others, or gone: they do not add up to the digest that was written with the newest of them"
    )]
    NotAsWritten,
    #[error("the store has lost the digest of its rows")]
    NoDigest,
    #[error("an earlier write of the store failed; it takes no more until it has been opened again")]
    Failed,
    #[error("the store is closed after an earlier failure")]
    Closed,
    #[error("a value of {bytes} bytes is too large for the store, which takes up to {VALUE_BYTES_MAX}")]
    TooLarge { bytes: usize },
}

impl Cause {
    pub(crate) fn of(error: &io::Error) -> Self {
        let is_eio = error.raw_os_error() == Some(EIO) || error.to_string().contains(EIO_IN_WORDS);
        match error.kind() {
            _ if is_eio => Self::Disk,
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Self::Short,
            _ => Self::Other,
        }
    }
}

impl StoreError {
    /// Whether what is there is not what was written, or the disk cannot give it back: another attempt would not help then.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Database(error) => error.doing != Doing::Sync && error.cause != Cause::Other,
            Self::NotAsWritten | Self::NoDigest => true,
            Self::Failed | Self::Closed | Self::TooLarge { .. } => false,
        }
    }
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write",
            Self::Sync => "sync",
        })
    }
}

fn shown(error: &DatabaseError) -> String {
    let DatabaseError { dir, detail, cause, .. } = error;
    match error.doing {
        Doing::Open => {
            format!("the store in {} cannot be opened: {detail}{}", dir.display(), advice(detail, *cause))
        }
        Doing::Sync => format!("the store cannot be synced to disk: {detail}"),
        Doing::Read | Doing::Write => format!("the store cannot {}: {detail}", error.doing),
    }
}

/// What helps where a store cannot be opened; of damage, the caller says what becomes of it.
fn advice(detail: &str, cause: Cause) -> String {
    const USUAL: &str =
        "check that the disk has space and may be written, and that no other process has the store open";
    match too_many_files(detail) {
        Some(advice) => format!("; {advice}"),
        None if cause == Cause::Other => format!("; {USUAL}"),
        None => String::new(),
    }
}

/// What the system says of a process that has as many files open as it may, and of one that may have more while the system may not:
/// as `errno`, and as Rust shows it in a message and in a debug text. sled hands on a text alone.
const OF_THE_PROCESS: [&str; 2] = ["os error 24)", "code: 24,"];
const OF_THE_SYSTEM: [&str; 2] = ["os error 23)", "code: 23,"];

/// What helps, if `said`, an error as text, comes of too many open files: nothing is wrong with the file that was to be opened then.
pub fn too_many_files(said: &str) -> Option<&'static str> {
    let is_one_of = |signs: [&str; 2]| signs.iter().any(|sign| said.contains(sign));
    if is_one_of(OF_THE_PROCESS) {
        return Some(
            "this process has reached its limit of open files: raise it (`ulimit -n`, LimitNOFILE of a systemd unit, `--ulimit nofile` of Docker)",
        );
    }
    is_one_of(OF_THE_SYSTEM)
        .then_some("the system has reached its limit of open files: raise it (`sysctl fs.file-max`)")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As sled copies an error that it has met before.
    fn copied(error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{error:?}"))
    }

    #[test]
    fn a_copy_of_an_error_is_recognised() {
        const ENOSPC: i32 = 28;
        for (number, cause) in [(EIO, Cause::Disk), (ENOSPC, Cause::Other)] {
            let error = io::Error::from_raw_os_error(number);
            assert_eq!((Cause::of(&error), Cause::of(&copied(&error))), (cause, cause), "{error}");
        }
    }

    #[test]
    fn too_many_open_files_are_not_blamed_on_the_disk() {
        let detail = io::Error::from_raw_os_error(24).to_string();
        let (doing, cause) = (Doing::Open, Cause::Other);
        let said = DatabaseError { doing, dir: "index".into(), detail, cause, earlier: None }.to_string();
        assert!(said.contains("ulimit -n") && !said.contains("may be written"), "{said}");
    }
}

#[cfg(test)]
mod too_many_files_tests {
    use std::io;

    use super::*;

    #[test]
    fn the_limit_that_was_reached_is_named_and_nothing_else_is_taken_for_one() {
        for (code, helps) in [(24, "ulimit -n"), (23, "fs.file-max")] {
            let error = io::Error::from_raw_os_error(code);
            for said in [error.to_string(), format!("{error:?}")] {
                assert!(too_many_files(&said).is_some_and(|remedy| remedy.contains(helps)), "{said}");
            }
        }
        for other in [2, 13, 28, 124, 240] {
            let error = io::Error::from_raw_os_error(other);
            assert_eq!(too_many_files(&format!("{error} {error:?}")), None);
        }
    }
}
