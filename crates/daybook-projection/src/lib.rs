//! The engine: from records to rows, for any domain.
//!
//! ```text
//! record ─ open ─ check ─ fold ─ commit          follower: for ever      replay: from zero to the end
//!          └────── engine ─────┘  generation
//! ```
//!
//! Pure: [`engine`] but for the rows it asks for, [`view`], [`codec`], [`checkpoint`].
//! Rim: [`generation`] (disk; only `rows.rs` imports sled), [`read_model`] (directories),
//! [`follower`] and [`replay()`] (Kafka, threads, clocks).

mod block;
mod cache;
mod catch_up;
mod change;
pub mod checkpoint;
pub mod cli;
pub mod codec;
pub mod engine;
mod external_sort;
pub mod follower;
#[cfg(any(test, fuzzing))]
pub mod fuzz_checks;
pub mod generation;
mod heap;
mod keys;
pub mod progress;
pub mod projection;
pub mod quarantine;
pub mod read_model;
pub mod replay;
pub mod sources;
pub mod stop;
pub mod store;
pub mod verify;
pub mod view;

pub use catch_up::catch_up;
pub use checkpoint::{Checkpoint, SourceCheckpoint, SourceId};
pub use codec::RowError;
pub use daybook_store::Digest;
pub use follower::Follower;
pub use generation::Generation;
pub use progress::{PartitionProgress, Progress, State};
pub use projection::{Contradiction, Layout, Projection, Topic, ViewEntry, describe, load};
pub use quarantine::{ParkedKey, Quarantine};
pub use read_model::{ReadModel, ReadModelError, RebuildAtWork};
pub use replay::{
    Comparison, Phase, ReplayError, ReplayOptions, ReplayProgress, ReplayReport, rebuild_aside, replay,
};
pub use sources::is_where_it_was;
pub use stop::{RecordAt, StopReason};
pub use store::{GenerationError, ReadError, StoreError};
pub use view::{EventMeta, FoldError, Folded, PartStore, Parts, View};
