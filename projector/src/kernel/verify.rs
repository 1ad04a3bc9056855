//! Whether a generation is what the log says: compared with another one that was built from the log.
//!
//! Both are brought to the same place in the log. If the digests that they have kept are equal, so are the rows that were
//! written; that is compared before every publication. Whether the rows on the disk are still those that were written is
//! another question, and `projector --verify` answers it: all rows are read again, range by range, and where a range's
//! digest differs its rows are compared one by one.

mod ranges;
mod served;
mod whole;

mod parked;

pub use parked::parked_differently;
pub use ranges::{RangeDigest, RangeDigests, RangeRow, RangeRows, StoredKey};
pub use served::{Client, Held, HoldError, QuarantineShown, Served, socket_path, unreadable_row};
pub use whole::{Difference, RowName, Unreadable, VerifyError, VerifyReport, verify};
