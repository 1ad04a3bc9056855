//! Quarantine: a record that cannot be opened or folded parks its key, not the world.
//!
//! The record and all later ones of its key in its partition wait, in order, in the generation itself: they are written
//! in the same batch as the checkpoint that counts them. All other keys are projected as ever. Gaps, forks and foreign
//! records stop the projection as before: they are about the log, not about one key.
//!
//! A record takes its place in the sequence of positions whether it is projected or parked. One that was set aside and for which
//! the event behind it leaves a position is parked as well ([`daybook_stream`]).
//!
//! Events leave it when a program that can project them is told to ([`release`]) or opens the generation to serve it
//! ([`release_all`]), or when somebody says that one is to be left out for ever ([`leave_out`]).
//!
//! What waits is bounded; beyond the bounds the projection stops. Only what can be shown and named waits: a record with a
//! key of printable text.

mod index;
mod intake;
mod record;
mod release;
mod skipped;
mod waiting;

pub(crate) use index::ParkedEvent;
pub use index::{ParkedKey, Quarantine};
pub(crate) use intake::{Intake, Taken};
pub(crate) use record::ParkedRecord;
pub use release::{ReleaseError, Released, leave_out, release, release_all};
pub use skipped::{EventName, SKIPPED_EVENTS_MAX, SkippedEvent, WHY_CHARS_MAX, unnamed};
pub(crate) use waiting::Totals;

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
