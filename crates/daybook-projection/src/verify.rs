//! Whether a generation is what the log says: compared with another one that was built from the log.
//!
//! Both are brought to the same place in the log. If the digests that they have kept are equal, so are the rows that were
//! written; that is compared before every publication. Whether the rows on the disk are still those that were written is
//! another question, and `projector --verify` answers it: all rows are read again, range by range, and where a range's
//! digest differs its rows are compared one by one.

mod ranges;
mod rounds;
mod sample;
mod served;
mod whole;

pub use ranges::{Range, RangeDigest, RangeRow, RangeRows, Ranges, StoredKey};
pub(crate) use sample::LeftOut;
pub use sample::parked_differently;
pub(crate) use sample::{GivingWay, TIMES_MAX as GIVING_WAY_TIMES_MAX};
pub use sample::{RowsAt, Sample, Serves};
pub use served::{Client, QuarantineShown, Served, ServedError, socket_path};
pub use whole::{Difference, RowName, Unreadable, VerifyError, VerifyReport, verify};
