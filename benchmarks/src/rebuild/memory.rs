//! How much memory a replay takes that may use little, whatever the log.

use tempfile::TempDir;

use super::{Bench, Log, process};
use crate::Outcome;
use crate::figures::grouped;
use crate::table::mib;

/// A budget that is much smaller than what is to be sorted.
const SMALL_BUDGET_BYTES: usize = 64 << 20;

impl Bench<'_> {
    /// One replay with a small budget.
    pub(super) fn memory(&mut self, log: &mut Log) -> Outcome {
        eprintln!("memory: {} ...", log.name);
        let directory = TempDir::with_prefix("daybook-rebuild-")?;
        let replayed = process::replay(log, directory.path(), SMALL_BUDGET_BYTES)?;
        self.check_digest(log, &replayed);
        let what = format!("peak memory of a replay, budget {}", mib(Some(SMALL_BUDGET_BYTES as u64)));
        let rate = format!("{} events/s", grouped((replayed.events as f64 / replayed.seconds) as u64));
        self.table.row(&what, &log.name, &mib(replayed.memory_bytes), &rate);
        Ok(())
    }
}
