//! A replay is killed halfway through its reading or writing, and started again.

use std::path::Path;

use daybook_projection::{Phase, ReplayProgress};
use tempfile::TempDir;

use super::child::{Replayed, Report};
use super::process::{self, Process};
use super::{Bench, Log};
use crate::Outcome;

/// How far a phase is when its replay is killed.
const KILLED_AT: f64 = 0.5;

/// What the start after a kill has reported.
struct Resumed {
    /// Share of the records that it did not have to read again.
    kept: f64,
    /// Share of the changes that were folded when it first reported them. A little of it is new.
    kept_folded: f64,
    replayed: Replayed,
}

impl Bench<'_> {
    /// Once for each phase, after a replay that nobody kills.
    pub(super) fn kill(&mut self, log: &mut Log) -> Outcome {
        eprintln!("kill: none, to compare with ...");
        let directory = TempDir::with_prefix("daybook-rebuild-")?;
        let whole = process::replay(log, directory.path(), self.flags.memory)?;
        self.check_digest(log, &whole);
        for phase in [Phase::Reading, Phase::Writing] {
            let name = if phase == Phase::Reading { "reading" } else { "writing" };
            eprintln!("kill: while {name} {} ...", log.name);
            let directory = TempDir::with_prefix("daybook-rebuild-")?;
            match self.kill_while(log, phase, directory.path())? {
                Some(at) => self.resume(log, name, at, whole.seconds, directory.path())?,
                None => {
                    self.table.row(&format!("killed while {name}"), &log.name, "–", "it was done too soon")
                }
            }
        }
        Ok(())
    }

    /// Kills a replay halfway through a phase; returns how far it was, or `None` if it was done before.
    fn kill_while(&self, log: &Log, phase: Phase, data_dir: &Path) -> Outcome<Option<f64>> {
        let mut process = Process::replay(&log.loaded.kafka, data_dir, self.flags.memory)?;
        while let Some(report) = process.next()? {
            if let Report::Progress(progress) = report
                && progress.phase == phase
                && share(&progress) >= KILLED_AT
            {
                // Dropping it kills it.
                return Ok(Some(share(&progress)));
            }
        }
        Ok(None)
    }

    fn resume(
        &mut self,
        log: &mut Log,
        phase: &str,
        killed_at: f64,
        whole_s: f64,
        data_dir: &Path,
    ) -> Outcome {
        let resumed = resume(log, data_dir, self.flags.memory)?;
        let same = self.check_digest(log, &resumed.replayed);
        self.table.check(resumed.replayed.resumed, "a replay that was killed was not resumed");
        let what = format!("second start after SIGKILL at {:.0} % of {phase}", killed_at * 100.0);
        let kept = match phase {
            "reading" => String::new(),
            _ => format!(", at most {:.0} % not folded again", resumed.kept_folded * 100.0),
        };
        let remark = format!(
            "{:.2} of an uninterrupted replay; {:.0} % not read again{kept}; digest {}",
            resumed.replayed.seconds / whole_s,
            resumed.kept * 100.0,
            if same { "the same" } else { "DIFFERS" }
        );
        self.table.row(&what, &log.name, &format!("{:.1} s", resumed.replayed.seconds), &remark);
        Ok(())
    }
}

fn resume(log: &Log, data_dir: &Path, memory: usize) -> Outcome<Resumed> {
    let mut process = Process::replay(&log.loaded.kafka, data_dir, memory)?;
    let (mut kept, mut kept_folded, mut replayed) = (None, None, None);
    while let Some(report) = process.next()? {
        match report {
            Report::Progress(progress) => {
                kept.get_or_insert(progress.done as f64 / progress.total as f64);
                if progress.to_fold > 0 {
                    kept_folded.get_or_insert(share(&progress));
                }
            }
            Report::Replayed(report) => replayed = Some(report),
            Report::Consumed(_) | Report::Streamed(_) => {}
        }
    }
    let replayed = replayed.ok_or("a replay ended without a word")?;
    Ok(Resumed { kept: kept.unwrap_or(0.0), kept_folded: kept_folded.unwrap_or(0.0), replayed })
}

/// How far the phase is.
fn share(progress: &ReplayProgress) -> f64 {
    let (done, of) = match progress.phase {
        Phase::Reading => (progress.done, progress.total),
        Phase::Writing => (progress.folded, progress.to_fold),
    };
    if of == 0 { 0.0 } else { done as f64 / of as f64 }
}
