//! How fast a replay is: against bare consumers of the same log in the same run, and on a big log against a small one.

use tempfile::TempDir;

use super::child::{Consumed, Replayed};
use super::{Bench, Log, process};
use crate::Outcome;
use crate::figures::{grouped, median};
use crate::table::mib;

/// Readers of the faster bare consumer, each on a thread of its own.
const READERS: usize = 2;

/// One run on one log: what ran beside each other.
struct Run {
    several: Consumed,
    one: Consumed,
    replay: Replayed,
}

impl Run {
    fn rate(&self) -> f64 {
        self.replay.events as f64 / self.replay.seconds
    }
}

impl Bench<'_> {
    /// Measures on both logs in turn.
    pub(super) fn speed(&mut self, small: &mut Log, mut big: Option<&mut Log>) -> Outcome {
        let (mut on_small, mut on_big) = (Vec::new(), Vec::new());
        for run in 1..=self.scale.runs {
            on_small.push(self.run(small)?);
            if let Some(big) = big.as_deref_mut() {
                on_big.push(self.run(big)?);
            }
            eprintln!("speed: run {run} of {}", self.scale.runs);
        }
        self.speed_rows(small, &on_small, "");
        if let Some(big) = big {
            let ratio =
                median(on_big.iter().zip(&on_small).map(|(big, small)| big.rate() / small.rate()).collect());
            self.speed_rows(big, &on_big, &format!("; {ratio:.2} of that of {}", small.name));
        }
        Ok(())
    }

    fn run(&mut self, log: &mut Log) -> Outcome<Run> {
        let directory = TempDir::with_prefix("daybook-rebuild-")?;
        let several = process::consume(log, READERS)?;
        let one = process::consume(log, 1)?;
        let replay = process::replay(log, directory.path(), self.flags.memory)?;
        self.check_digest(log, &replay);
        Ok(Run { several, one, replay })
    }

    fn speed_rows(&mut self, log: &Log, runs: &[Run], compared: &str) {
        let per_s = |seconds: fn(&Run) -> f64| {
            let rates = runs.iter().map(|run| run.replay.events as f64 / seconds(run)).collect();
            format!("{} events/s", grouped(median(rates) as u64))
        };
        let of = |seconds: fn(&Run) -> f64| {
            median(runs.iter().map(|run| seconds(run) / run.replay.seconds).collect())
        };
        let peak = |bytes: fn(&Run) -> Option<u64>| mib(runs.iter().filter_map(bytes).max());
        let several = per_s(|run| run.several.seconds);
        let several_memory = format!("peak memory {}", peak(|run| run.several.memory_bytes));
        self.table.row(&format!("bare consume, {READERS} readers"), &log.name, &several, &several_memory);
        let one = per_s(|run| run.one.seconds);
        let one_memory = format!("peak memory {}", peak(|run| run.one.memory_bytes));
        self.table.row("bare consume, 1 reader", &log.name, &one, &one_memory);
        let ratios = format!(
            "{:.2} of {READERS} readers, {:.2} of 1 reader{compared}",
            of(|run| run.several.seconds),
            of(|run| run.one.seconds)
        );
        self.table.row("replay", &log.name, &per_s(|run| run.replay.seconds), &ratios);
        let budget = format!("peak memory of a replay, budget {}", mib(Some(self.flags.memory as u64)));
        self.table.row(&budget, &log.name, &peak(|run| run.replay.memory_bytes), "the whole process");
    }

    /// Every replay of a log must come to the same rows.
    pub(super) fn check_digest(&mut self, log: &mut Log, replayed: &Replayed) -> bool {
        let first = log.digest.get_or_insert_with(|| replayed.digest.clone());
        let same = *first == replayed.digest;
        let note = format!("the digest of {} was {first}, then {}", log.name, replayed.digest);
        self.table.check(same, &note);
        same
    }
}
