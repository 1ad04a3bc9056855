//! One writer per partition: who writes the own topic, since when, and with which epoch.
//!
//! Before a service sends anything it claims every partition with an epoch that is higher than any before
//! ([`daybook_event::claim`]). What lies in the log up to its claim is what it compares its store with; what comes to lie behind
//! it from an earlier writer counts for nothing.

mod claim_error;
mod claimant;
mod expected_offsets;
mod instance;
mod own_log;
mod superseded;

pub use claim_error::ClaimError;
pub(crate) use claimant::{Claimant, Claimed};
pub(crate) use expected_offsets::{ExpectedOffsets, Lies, Places, Unexplained};
pub(crate) use instance::Instance;
pub use instance::InstanceError;
pub(crate) use own_log::{OwnLog, OwnPartition, Patience, WholeLog};
pub use superseded::{OtherInstance, Superseded, Unsaved};
