//! A rebuild at work, as others see it.

use serde::Serialize;

/// How far a rebuild has got. Counts are of records, measured against the end offsets at its start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rebuild {
    /// Name of the generation that is being built.
    pub generation: Option<String>,
    /// Records read.
    pub done: u64,
    /// Records to read.
    pub total: u64,
    /// Records read per second so far.
    pub events_per_s: f64,
    /// Seconds left at that rate; `None` at the very start.
    pub eta_s: Option<f64>,
}
