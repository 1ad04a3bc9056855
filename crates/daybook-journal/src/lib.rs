//! The journal of a command service: its truth until Kafka has it. Knows no Kafka, no sled and no shop.
//!
//! What a group of commands decided is one [`Group`]: events with their partition and position, the absolute writes that
//! go into the index, and the outcomes under idempotency keys. [`Journal::append`] returns once the group is on the disk.
//! Everything else that a service keeps (its index, what the relay has sent) can be made again from here and from the log.
//!
//! **What holds.**
//! - A record is appended only after the sync of the record before it has returned. So a record that is there proves that
//!   all before it were acknowledged, and only the very last one can be torn.
//! - No block that was acknowledged is ever written again. Records begin at blocks of [`BLOCK_BYTES`], and a segment is
//!   written into zeros that are on the disk already, so that a sync of it changes no metadata.
//! - A record carries the checksum of the one before it, its number, its segment and its journal. A record of another
//!   journal, an older one or one at the wrong place is not taken for the next one.
//! - After an end that was not in order nothing is appended to the old segment: what may only lie in the system's cache
//!   is written again into a fresh segment, and synced, before anything rests on it.
//! - A segment is removed only after a record says durably that it is no longer needed, so that a segment that is missing
//!   otherwise is noticed.
//!
//! The bytes are described in `FORMAT.md` beside this crate's manifest.

mod beginning;
mod catalog;
mod directory;
mod errors;
#[doc(hidden)]
pub mod fields;
mod footer;
mod frame;
mod journal;
mod keys;
mod locations;
mod open;
mod print;
mod reader;
mod record;
mod retention;
mod scan;
mod segment;

pub use beginning::{Beginning, LogEnd, Settings};
pub use catalog::{Events, Location};
pub use errors::{AppendError, OpenError, ReadError};
pub use fields::Damaged;
pub use frame::{BLOCK_BYTES, Kind, RECORD_BYTES_MAX};
pub use journal::{Appended, Journal};
pub use open::{Found, Tail, find, find_readable};
pub use print::{PrintError, print};
pub use reader::Reader;
pub use record::{Event, Group, KeyOutcome, Record, Write};
pub use retention::{Retention, RetireError};
pub use segment::{Identity, Mark, PartitionState};
