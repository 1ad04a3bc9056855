//! Topics as checked events: one reading for everybody who reads them.
//!
//! The read model, its rebuilds, service C's reference tables, the rebuilding of a store and the check of the own log all read records in
//! the order of a partition. For each of them [`PartitionState::admit_event`] or [`PartitionState::admit_envelope`] says what it is: the
//! next event, one that is repeated, one of a writer that was fenced, a writer's claim, or no event of the partition's service, which is
//! set aside. What the reader does with it is the reader's policy.
//!
//! It knows Kafka and envelopes. It does not know rows, stores, or HTTP.

mod admit;
mod monitor;
mod partition;
mod report;
mod set_aside;

pub use admit::{
    Admission, Discontinuity, Disposition, EventRead, Headers, Identified, Identity, Passing, RecordView,
    ReopenError,
};
pub use monitor::BrokerMonitor;
pub use monitor::{Located, Watched, locate};
pub use partition::{PartitionState, share_log_ids};
pub use report::{SetAsideLog, SetAsideNotes, SetAsideShown};
pub use set_aside::{KEY_BYTES_MAX, Placed, RECORD_BYTES_MAX, SetAside, Unowned, key_text};
