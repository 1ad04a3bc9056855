//! A rebuild at work, as others see it.

use daybook_projection::{Phase, RebuildAtWork, ReplayProgress};
use serde::Serialize;

/// How far a rebuild has got. Counts are of records, measured against the end offsets at its start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rebuild {
    /// Name of the generation that is being built.
    pub generation: Option<String>,
    /// Who is at work, if it is another process.
    pub by: Option<String>,
    /// `reading` the log, or `writing` rows.
    pub phase: Option<Phase>,
    /// Records read.
    pub done: u64,
    /// Records to read.
    pub total: u64,
    /// Records read per second so far.
    pub events_per_s: f64,
    /// Seconds left at that pace; `None` at the very start.
    pub eta_s: Option<f64>,
    /// Memory of the process that is at work, in bytes.
    pub memory_bytes: Option<u64>,
}

impl Rebuild {
    /// The rebuild of whichever process.
    #[must_use]
    pub fn at_work(found: RebuildAtWork) -> Self {
        let RebuildAtWork { holder, progress } = found;
        let nothing_yet = Self {
            generation: None,
            by: None,
            phase: None,
            done: 0,
            total: 0,
            events_per_s: 0.0,
            eta_s: None,
            memory_bytes: None,
        };
        Self { by: Some(holder), ..progress.map_or(nothing_yet, Self::from) }
    }
}

impl From<ReplayProgress> for Rebuild {
    fn from(progress: ReplayProgress) -> Self {
        Self {
            generation: Some(progress.generation),
            by: None,
            phase: Some(progress.phase),
            done: progress.done,
            total: progress.total,
            events_per_s: progress.events_per_s.round(),
            eta_s: progress.eta_s.map(f64::ceil),
            memory_bytes: progress.memory_bytes,
        }
    }
}
