//! The measuring half: starts this program as a child, listens to its lines, kills it if need be.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use daybook_kafka::Kafka;

use super::Log;
use super::child::{Consumed, Replayed, Report, Streamed};
use crate::Outcome;

/// How long any child may take: minutes where one takes seconds.
const CHILD_WITHIN: Duration = Duration::from_secs(1_800);
/// Lines not yet looked at; past it the child waits.
const LINES_MAX: usize = 64;

/// A child at work; it is killed when this is dropped.
pub(super) struct Process {
    child: Child,
    lines: Receiver<Outcome<Report>>,
    deadline: Instant,
}

impl Process {
    /// Starts a replay into `data_dir`.
    pub(super) fn replay(kafka: &Kafka, data_dir: &Path, memory: usize) -> Outcome<Self> {
        let mut command = command("child-replay", kafka)?;
        command.arg("--data-dir").arg(data_dir).args(["--memory", &memory.to_string()]);
        Self::start(command)
    }

    /// Starts Kafka Streams as `command` says.
    pub(super) fn streams(command: Command) -> Outcome<Self> {
        Self::start(command)
    }

    fn start(mut command: Command) -> Outcome<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("a child without stdout")?;
        Ok(Self { child, lines: listen(stdout), deadline: Instant::now() + CHILD_WITHIN })
    }

    /// What it tells next; `None` once it has ended in order.
    pub(super) fn next(&mut self) -> Outcome<Option<Report>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(report) => report.map(Some),
            Err(RecvTimeoutError::Timeout) => Err("a child took too long".into()),
            Err(RecvTimeoutError::Disconnected) => match self.child.wait()? {
                status if status.success() => Ok(None),
                status => Err(format!("a child failed: {status}").into()),
            },
        }
    }

    /// Waits for the end of a replay.
    pub(super) fn replayed(&mut self) -> Outcome<Replayed> {
        let mut replayed = None;
        while let Some(report) = self.next()? {
            if let Report::Replayed(report) = report {
                replayed = Some(report);
            }
        }
        replayed.ok_or_else(|| "a replay ended without a word".into())
    }

    /// Waits for the end of Kafka Streams.
    pub(super) fn streamed(&mut self) -> Outcome<Streamed> {
        let mut streamed = None;
        while let Some(report) = self.next()? {
            if let Report::Streamed(report) = report {
                streamed = Some(report);
            }
        }
        streamed.ok_or_else(|| "Kafka Streams ended without a word".into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; either way it is gone after this.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A whole replay of `log` into `data_dir`; all of its events must be there.
pub(super) fn replay(log: &Log, data_dir: &Path, memory: usize) -> Outcome<Replayed> {
    let replayed = Process::replay(&log.loaded.kafka, data_dir, memory)?.replayed()?;
    complete(log, replayed.events)?;
    Ok(replayed)
}

/// A bare consumer of the whole `log`.
pub(super) fn consume(log: &Log, readers: usize) -> Outcome<Consumed> {
    let mut command = command("child-consume", &log.loaded.kafka)?;
    command.args(["--readers", &readers.to_string()]);
    let mut process = Process::start(command)?;
    let mut consumed = None;
    while let Some(report) = process.next()? {
        if let Report::Consumed(counted) = report {
            consumed = Some(counted);
        }
    }
    let consumed = consumed.ok_or("a consumer ended without a word")?;
    complete(log, consumed.events)?;
    Ok(consumed)
}

/// Fails unless all events of `log` were read.
pub(super) fn complete(log: &Log, events: u64) -> Outcome {
    if events == log.loaded.events {
        return Ok(());
    }
    Err(format!("{} events were loaded, {events} read", log.loaded.events).into())
}

fn command(name: &str, kafka: &Kafka) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(name).args(["--brokers", &kafka.brokers]).args(["--topic-prefix", &kafka.topic_prefix]);
    Ok(command)
}

/// Lines of a child; the channel closes when the child has.
fn listen(stdout: ChildStdout) -> Receiver<Outcome<Report>> {
    let (sender, receiver) = sync_channel(LINES_MAX);
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let report = line.map_err(Into::into).and_then(|line| Ok(serde_json::from_str(&line)?));
            if sender.send(report).is_err() {
                break;
            }
        }
    });
    receiver
}
