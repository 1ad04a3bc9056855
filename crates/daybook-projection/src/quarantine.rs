//! Quarantine: a record that cannot be opened parks its key, and an event that contradicts a row parks that row, not the world.
//!
//! A record that cannot be opened and all later ones of its key in its partition wait, in order. Of an event that contradicts the row
//! of a view its change waits, and all later ones of that row from its partition; the row stays as it was, and all other views and rows
//! are projected as ever. What waits lies in the generation itself: it is written in the same batch as the checkpoint that counts it.
//! Gaps, forks and foreign records stop the projection: they are about the log, not about one key.
//!
//! A record takes its place in the sequence of positions whether it is projected or parked. One that was set aside and for which
//! the event behind it leaves a position is parked as well ([`daybook_stream`]).
//!
//! Events leave it when a program that can project them is asked to ([`release`]) or opens the generation to serve it
//! ([`release_all`]), or when an operator leaves one out for ever ([`leave_out`]).
//!
//! What waits is bounded; beyond the bounds the projection stops. Only what can be shown and named waits: a record with a
//! key of printable text, or a row.

mod admission;
mod index;
mod parking;
mod record;
mod release;
mod skipped;

pub(crate) use admission::Admission;
pub use index::{ParkedKey, Quarantine};
pub(crate) use parking::{Parking, Totals};
#[cfg(test)]
pub(crate) use record::ViewChange;
pub(crate) use record::{ParkedRecord, sum};
pub use release::{ReleaseError, Released, leave_out, release, release_all};
pub use skipped::{EventName, SKIPPED_EVENTS_MAX, SkippedEvent, WHY_CHARS_MAX, unnamed};

/// Events that wait in one generation. Their places are kept in memory, some hundred bytes each.
pub const PARKED_EVENTS_MAX: u64 = 10_000;
/// Bytes of all events that wait in one generation; read once when it is opened.
pub const PARKED_BYTES_MAX: u64 = 64 << 20;
/// Events that wait for one key: they are read and folded together before the first of them is released.
pub const PARKED_EVENTS_PER_KEY_MAX: u64 = 1_000;
/// Bytes of one record that waits; it is stored in pieces.
pub const PARKED_RECORD_BYTES_MAX: usize = daybook_stream::RECORD_BYTES_MAX;
/// Bytes of a key that can be parked.
pub const PARKED_KEY_BYTES_MAX: usize = daybook_stream::KEY_BYTES_MAX;
/// Bytes of parked records that wait in memory for their commit.
pub(crate) const UNCOMMITTED_BYTES_MAX: usize = 4 << 20;
/// Characters of a reason that are kept.
const REASON_CHARS_MAX: usize = 500;
