//! What an error of the disk says about what is on it, as sled passes it on. Pure.

use std::io;

/// The system's number for an input or output error.
pub(crate) const EIO: i32 = 5;
/// How the number is worded in copies that sled makes of an error.
const EIO_IN_WORDS: &str = "code: 5,";

/// Whether bytes are not what was written, or the disk cannot give them back. Without an error of the system they are not.
pub(super) fn is_damage(error: Option<&io::Error>) -> bool {
    let unreadable = [io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof];
    error.is_none_or(|error| unreadable.contains(&error.kind())) || is_eio(error)
}

/// Whether the disk has failed. sled hands its buffers over with `sync_file_range`, which is where the system may tell so:
/// once, and then it has forgotten that what was written is not on the disk.
pub(super) fn is_eio(error: Option<&io::Error>) -> bool {
    error.is_some_and(|error| error.raw_os_error() == Some(EIO) || error.to_string().contains(EIO_IN_WORDS))
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
        for (number, failed) in [(EIO, true), (ENOSPC, false)] {
            let error = io::Error::from_raw_os_error(number);
            for error in [&error, &copied(&error)] {
                assert_eq!((is_eio(Some(error)), is_damage(Some(error))), (failed, failed), "{error}");
            }
        }
    }
}
