//! A Kafka of a test's own, which it may stop and harm: a broker that lost power before it had synced is made by cutting
//! batches off its segments.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::binaries;

/// Bytes before a batch's length counts: base offset and the length itself.
const BATCH_HEADER_BYTES: usize = 12;
/// The first and only segment of a small partition.
const SEGMENT: &str = "00000000000000000000.log";
/// What a broker notes about its logs when it stops in order, and would believe more than the logs.
const NOTES: [&str; 3] =
    [".kafka_cleanshutdown", "recovery-point-offset-checkpoint", "replication-offset-checkpoint"];

/// One broker or three in a temporary directory; killed and wiped when dropped.
pub struct OwnKafka {
    directory: TempDir,
    /// Its address, which it keeps.
    pub brokers: String,
}

impl OwnKafka {
    /// Starts it on a free port.
    pub fn start() -> Self {
        Self::start_with("1")
    }

    /// The same with `1` or `3` brokers, each on a port of its own.
    pub fn start_with(brokers: &str) -> Self {
        let directory = TempDir::with_prefix("daybook-kafka-").expect("a temporary directory");
        let brokers = script(&["up", "--fast-start", "--dir"], directory.path(), &["--brokers", brokers]);
        Self { directory, brokers: brokers.trim().to_owned() }
    }

    /// SIGKILL to one broker; its address and data stay.
    pub fn kill(&self, broker: &str) {
        script(&["kill", "--dir"], self.directory.path(), &[broker]);
    }

    /// Starts one broker again.
    pub fn start_broker(&self, broker: &str) {
        script(&["start", "--fast-start", "--dir"], self.directory.path(), &[broker]);
    }

    /// SIGSTOP to one broker: its connections stay open, and it answers nothing.
    pub fn pause(&self, broker: &str) {
        script(&["pause", "--dir"], self.directory.path(), &[broker]);
    }

    /// The broker that leads a partition.
    pub fn leader(&self, topic: &str, partition: i32) -> String {
        let said = self.tool("kafka-topics", &["--describe", "--topic", topic]);
        let of_it = format!("Partition: {partition}");
        let line = said.lines().find(|line| line.split('\t').any(|word| word.trim() == of_it));
        let leader =
            line.and_then(|line| line.split('\t').find_map(|word| word.trim().strip_prefix("Leader: ")));
        leader.unwrap_or_else(|| panic!("no leader of partition {partition} in {said}")).trim().to_owned()
    }

    /// Stops the broker in order; its address and data stay.
    pub fn stop(&self) {
        script(&["stop", "--dir"], self.directory.path(), &["1"]);
    }

    /// Starts it again.
    pub fn start_again(&self) {
        script(&["start", "--fast-start", "--dir"], self.directory.path(), &["1"]);
    }

    /// SIGKILL, and in its place another one that has nothing, with the same address, and even the same cluster id.
    pub fn make_anew(&self) {
        script(&["anew", "--fast-start", "--dir"], self.directory.path(), &["1"]);
    }

    /// One of Kafka's own tools on this broker; returns what it printed.
    pub fn tool(&self, name: &str, arguments: &[&str]) -> String {
        let fixed = ["tool", name, "--bootstrap-server", &self.brokers];
        run(&[&fixed[..], arguments].concat())
    }

    /// Deletes the first records of every partition of a topic that has so many.
    pub fn delete_front(&self, topic: &str, records: i64) {
        let offsets = self.tool("kafka-get-offsets", &["--topic", topic]);
        let ends = offsets.lines().filter_map(|line| line.rsplit_once(':')?.1.parse::<i64>().ok());
        let partitions: Vec<_> = (0..)
            .zip(ends)
            .filter(|(_, end): &(i32, i64)| *end >= records)
            .map(|(partition, _)| json!({ "topic": topic, "partition": partition, "offset": records }))
            .collect();
        let file = self.directory.path().join("delete.json");
        let body = json!({ "partitions": partitions, "version": 1 });
        fs::write(&file, body.to_string()).expect("a writable directory");
        let file = file.to_str().expect("a path in UTF-8");
        self.tool("kafka-delete-records", &["--offset-json-file", file]);
    }

    /// While it is stopped: takes the last `batches` batches off a partition, and every note that there were more.
    /// Returns how many were there to take.
    pub fn cut(&self, topic: &str, partition: i32, batches: usize) -> usize {
        let partition = self.data().join(format!("{topic}-{partition}"));
        let segment = partition.join(SEGMENT);
        let bytes = fs::read(&segment).expect("a segment");
        let begins = batch_begins(&bytes);
        let taken = batches.min(begins.len());
        let Some(end) = begins.len().checked_sub(taken).and_then(|at| begins.get(at)) else { return 0 };
        fs::write(&segment, &bytes[..*end]).expect("a writable segment");
        for entry in fs::read_dir(&partition).expect("the partition's directory") {
            let path = entry.expect("an entry").path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if matches!(extension, Some("index" | "timeindex" | "snapshot")) {
                fs::remove_file(path).expect("the index goes");
            }
        }
        for note in NOTES {
            // The broker may not have written it yet.
            let _ = fs::remove_file(self.data().join(note));
        }
        taken
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("1").join("data")
    }
}

impl Drop for OwnKafka {
    fn drop(&mut self) {
        let wipe = || script(&["wipe", "--dir"], self.directory.path(), &[]);
        // A test that failed already ends with its own words, and the others go on.
        match std::thread::panicking() {
            true => drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(wipe))),
            false => drop(wipe()),
        }
    }
}

/// Where each batch of a segment begins.
fn batch_begins(bytes: &[u8]) -> Vec<usize> {
    let mut begins = Vec::new();
    let mut at = 0;
    while let Some(header) = bytes.get(at..at + BATCH_HEADER_BYTES) {
        let length = u32::from_be_bytes([header[8], header[9], header[10], header[11]]) as usize;
        if length == 0 {
            break;
        }
        begins.push(at);
        at += BATCH_HEADER_BYTES + length;
    }
    begins
}

fn script(before: &[&str], directory: &Path, after: &[&str]) -> String {
    let directory = directory.to_str().expect("a path in UTF-8");
    run(&[before, &[directory], after].concat())
}

fn run(arguments: &[&str]) -> String {
    let mut command = Command::new(binaries::root().join("system-tests/kafka/kafka"));
    // The broker outlives the script, and would keep a pipe for its error output open.
    let output = command.args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.expect("the script runs");
    assert!(output.status.success(), "kafka {} failed", arguments.join(" "));
    String::from_utf8(output.stdout).expect("UTF-8")
}
