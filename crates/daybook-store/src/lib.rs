//! Bytes on a disk: one wrapper of sled, and the files and directories around it. Knows no Kafka, no events and no HTTP.
//!
//! [`Database`] is the one file of the repository that imports sled: an ordered map that is written in atomic batches, with
//! one sync that waits for the disk. [`Store`] keeps the digest of all its rows, so that a database that has lost some of them
//! is found out, and can be opened again behind a failure. [`sorted`] fills a database in the order of its keys.
//!
//! What an error means is for the caller to decide: a service builds its index again, a read model waits, or is built again.
//! Errors say what sled or the system said ([`Cause`]).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout))]

mod database;
mod digest;
mod directory_lock;
mod error;
pub mod files;
mod guard;
mod opened;
mod opening;
mod sorted;
mod store;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod testing;
#[cfg(test)]
mod tests;
mod unsynced;

pub use database::{BATCH_BYTES_MAX, Batch, Bytes, Database, Purpose, VALUE_BYTES_MAX, Writes};
pub use digest::{BYTES, Digest, NoDigest, RowHash};
pub use directory_lock::{DirectoryLock, LockError};
pub use error::too_many_files;
pub use error::{Cause, DatabaseError, Doing, EIO, StoreError};
pub use store::{Noted, Span, Store, Unreadable, check_sizes};
pub use unsynced::SYNC_PAUSE;
