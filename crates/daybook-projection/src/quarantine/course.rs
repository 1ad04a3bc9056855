//! What becomes of an event that comes next.

/// What becomes of an event that comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// It is projected.
    Project,
    /// It waits.
    Park,
    /// It takes its place and is forgotten.
    LeaveOut,
}
