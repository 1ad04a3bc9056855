//! The same job done by Kafka Streams on the same topics in the same run: how fast, in how much memory and room.

use tempfile::TempDir;

use super::child::{Replayed, Streamed};
use super::jar::{Jar, SETUPS, Setup};
use super::process::{self, Process};
use super::{Bench, Log};
use crate::Outcome;
use crate::broker::{Broker, kafka_version};
use crate::figures::{grouped, median};
use crate::table::mib;

/// Most events of the log that it reads, which takes it half a minute or more.
pub(super) const EVENTS_MAX: u64 = 2_000_000;

impl Bench<'_> {
    /// Runs it once in each setup on `big` if that is small enough, else on a log of its own, which is replayed as well.
    pub(super) fn streams(&mut self, broker: &Broker, jar: &Jar, big: &mut Log) -> Outcome {
        if self.scale.events <= EVENTS_MAX {
            return self.streams_on(jar, big);
        }
        let mut log = self.load(broker, "streams", EVENTS_MAX, 0)?;
        self.streams_on(jar, &mut log)
    }

    /// The rows when there is nothing to run.
    pub(super) fn streams_not_run(&mut self, why: &str) {
        self.table.row(&kafka_streams(), "–", "not run", why);
    }

    fn streams_on(&mut self, jar: &Jar, log: &mut Log) -> Outcome {
        let mut replays = Vec::new();
        for _ in 0..self.scale.runs {
            let directory = TempDir::with_prefix("daybook-rebuild-")?;
            let replayed = process::replay(log, directory.path(), self.flags.memory)?;
            self.check_digest(log, &replayed);
            replays.push(replayed);
        }
        for setup in &SETUPS {
            self.streams_once(setup, jar, log, &replays)?;
        }
        Ok(())
    }

    fn streams_once(&mut self, setup: &Setup, jar: &Jar, log: &Log, replays: &[Replayed]) -> Outcome {
        eprintln!("Kafka Streams, {}: at work on {}; it may take minutes ...", setup.name, log.name);
        let state_dir = TempDir::with_prefix("daybook-kafka-streams-")?;
        let streamed =
            Process::streams(jar.command(setup, &log.loaded.kafka, state_dir.path()))?.streamed()?;
        process::complete(log, streamed.events)?;
        // The loader writes nothing but what becomes a row of its own.
        self.table.check(
            streamed.rows == streamed.events,
            &format!("Kafka Streams made {} rows of {} events", streamed.rows, streamed.events),
        );
        self.streams_rows(setup, log, &streamed, replays);
        Ok(())
    }

    fn streams_rows(&mut self, setup: &Setup, log: &Log, streamed: &Streamed, replays: &[Replayed]) {
        let rate = streamed.events as f64 / streamed.seconds;
        let replay =
            median(replays.iter().map(|replayed| replayed.events as f64 / replayed.seconds).collect());
        let remark = format!(
            "same job, once, CPU {:.0} s; a replay beside it has {} events/s, {:.1} times as many",
            streamed.cpu_seconds,
            grouped(replay as u64),
            replay / rate
        );
        let figure = format!("{} events/s", grouped(rate as u64));
        let measured = format!("{}, {}", kafka_streams(), setup.name);
        self.table.row(&measured, &log.name, &figure, &remark);
        let peak = replays.iter().filter_map(|replayed| replayed.memory_bytes).max();
        let remark = compared("a replay's", peak, streamed.memory_bytes);
        let figure = mib(Some(streamed.memory_bytes));
        self.table.row(&format!("peak memory of it, {}", setup.name), &log.name, &figure, &remark);
        let generation = replays.first().map(|replayed| replayed.bytes_on_disk);
        let remark = format!(
            "{}; besides {} of changelog topics",
            compared("a generation's", generation, streamed.bytes_on_disk),
            mib(Some(streamed.changelog_bytes))
        );
        let figure = mib(Some(streamed.bytes_on_disk));
        self.table.row(&format!("bytes on disk of it, {}", setup.name), &log.name, &figure, &remark);
    }
}

/// With its version.
fn kafka_streams() -> String {
    format!("Kafka Streams {}", kafka_version().unwrap_or("?"))
}

/// `whose` bytes, and their ratio to those of Kafka Streams.
fn compared(whose: &str, bytes: Option<u64>, of: u64) -> String {
    let ratio = bytes.map_or_else(String::new, |bytes| format!(" are {:.2} of it", bytes as f64 / of as f64));
    format!("{whose} {}{ratio}", mib(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_compared() {
        assert_eq!(compared("a replay's", Some(512 << 20), 1 << 30), "a replay's 512 MiB are 0.50 of it");
        assert_eq!(compared("a replay's", None, 1 << 30), "a replay's not known");
    }
}
