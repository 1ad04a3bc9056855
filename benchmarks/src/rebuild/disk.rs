//! How much room the topics take, and how much the generation that was built from them.

use std::fs;
use std::io;
use std::path::Path;

use daybook_kafka::Kafka;
use tempfile::TempDir;

use super::{Bench, Log, process};
use crate::Outcome;
use crate::table::mib;

impl Bench<'_> {
    /// Measures both; `kafka_data` is where the broker keeps its topics, if that is known.
    pub(super) fn disk(&mut self, log: &mut Log, kafka_data: Option<&Path>) -> Outcome {
        eprintln!("disk: {} ...", log.name);
        let directory = TempDir::with_prefix("daybook-rebuild-")?;
        let replayed = process::replay(log, directory.path(), self.flags.memory)?;
        self.check_digest(log, &replayed);
        let per_event =
            |bytes: u64| format!("{:.1} bytes per event", bytes as f64 / log.loaded.events as f64);
        let topics = kafka_data
            .map(|data| topic_bytes(data, &log.loaded.kafka))
            .transpose()?
            .filter(|bytes| *bytes > 0);
        let note = topics.map_or_else(String::new, per_event);
        self.table.row(
            "bytes on disk, topics",
            &log.name,
            &topics.map_or_else(unknown, |bytes| mib(Some(bytes))),
            &note,
        );
        let generation = replayed.bytes_on_disk;
        let compared = topics.map_or_else(String::new, |topics| {
            let at_most =
                if generation <= topics { "not larger than the topics" } else { "LARGER THAN THE TOPICS" };
            format!("; {:.2} of the topics: {at_most}", generation as f64 / topics as f64)
        });
        let note = format!("{}{compared}", per_event(generation));
        self.table.row("bytes on disk, generation", &log.name, &mib(Some(generation)), &note);
        self.table.check(
            topics.is_none_or(|topics| generation <= topics),
            "the generation is larger than its topics",
        );
        Ok(())
    }
}

fn unknown() -> String {
    "not known".to_owned()
}

/// Bytes of all segments of the topics, wherever below `data` they are.
fn topic_bytes(data: &Path, kafka: &Kafka) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.file_type()?.is_dir() {
            continue;
        }
        bytes += if is_partition(&name, kafka) {
            segment_bytes(&entry.path())?
        } else {
            topic_bytes(&entry.path(), kafka)?
        };
    }
    Ok(bytes)
}

/// Whether `name` is that of a partition's directory, such as `users.events-3`.
fn is_partition(name: &str, kafka: &Kafka) -> bool {
    let topic = name.rsplit_once('-').map(|(topic, _)| topic);
    schemas::TOPICS.iter().any(|bare| topic == Some(&kafka.topic_name(bare)))
}

fn segment_bytes(partition: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(partition)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "log") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}
