//! Building a generation from a whole log: changes are sorted by key, then folded key by key.
//!
//! ```text
//! events ─ change ─ sorter ─┬─ run 1 ─┐
//!                           ├─ run 2 ─┼─ merge ─ fold ─ blocks        (one unit of the key space after the other)
//!                           └─ run … ─┘
//! ```
//!
//! Folding events in the order of the log touches rows at random: a cache that holds them all grows with the users, and
//! one that does not reads and writes each row again and again, which is what sled is slowest at. So nothing is folded
//! while the log is read. Of every event only the change is kept that each view takes from it; a full buffer of changes is
//! sorted by key and written to a *run*, a file. When the log has been read the runs are merged, each key's changes come
//! together in the order of the log, are folded at once, and the rows are written once and in order. (External merge
//! sort: Knuth, The Art of Computer Programming, volume 3, 5.4.) Memory is bounded by the buffers, whatever the number of
//! events, keys, or events of one key.
//!
//! Runs are also how a build is resumed: the *journal* names the runs that are durable and how far in the log they reach,
//! and then the units of the key space whose rows are durable.

mod fold;
mod journal;
mod merge;
mod run;
mod sorter;

pub(super) use fold::BlockWriter;
pub(super) use fold::{ChangeError, KeyFold, RowParking, ViewFold};
pub(super) use journal::{Journal, JournalError, JournalFile, UnitEntry};
pub(super) use merge::Merge;
pub(super) use merge::RUNS_MERGED_MAX;
pub(super) use merge::{Unit, plan};
pub(super) use run::Run;
#[cfg(any(test, fuzzing))]
pub(super) use run::is_a_run_table;
pub(super) use sorter::{CollectChange, Sorter};
