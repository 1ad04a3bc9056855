//! A real Kafka to measure on: the one that was named, or one that is started for the run and wiped at its end.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use daybook_kafka::Kafka;
use tempfile::TempDir;

use crate::Outcome;

/// Names the version of Apache Kafka that is started here, and that of the Kafka Streams that is measured.
const POM: &str = include_str!("../../system-tests/kafka/pom.xml");

/// A Kafka that is there until this is dropped.
#[derive(Debug)]
pub(crate) struct Broker {
    brokers: String,
    started: Option<TempDir>,
}

impl Broker {
    /// The brokers named, or a fresh one.
    pub(crate) fn find(named: Option<&str>) -> Outcome<Self> {
        if let Some(brokers) = named {
            return Ok(Self { brokers: brokers.to_owned(), started: None });
        }
        eprintln!(
            "starting Apache Kafka in a temporary directory (name one with --brokers to use that instead) ..."
        );
        Self::start(1)
    }

    /// Fresh ones, this many: one or three.
    pub(crate) fn start(count: i32) -> Outcome<Self> {
        let directory = TempDir::with_prefix("daybook-kafka-")?;
        let mut command = Command::new(script());
        command.args(["up", "--brokers", &count.to_string(), "--dir"]).arg(directory.path());
        let output = command.output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into());
        }
        let printed = String::from_utf8(output.stdout)?;
        let brokers = printed.lines().last().unwrap_or_default().to_owned();
        Ok(Self { brokers, started: Some(directory) })
    }

    /// SIGKILL for the first broker, which must have been started here.
    pub(crate) fn kill_first(&self) -> Outcome {
        self.first("kill")?.wait()
    }

    /// Starts the first broker again.
    pub(crate) fn start_first(&self) -> Outcome<Working> {
        self.first("start")
    }

    fn first(&self, does: &str) -> Outcome<Working> {
        let directory = self.data_dir().ok_or("the brokers were not started here")?;
        let mut command = Command::new(script());
        command.args([does, "--dir"]).arg(directory).arg("1").stdout(Stdio::null());
        Ok(Working(command.spawn()?))
    }

    /// For the heading.
    pub(crate) fn name(&self) -> &str {
        if self.started.is_some() { "one Apache Kafka broker on the same machine" } else { &self.brokers }
    }

    /// Where its data lies, if it was started here.
    pub(crate) fn data_dir(&self) -> Option<&Path> {
        self.started.as_ref().map(TempDir::path)
    }

    /// Which Apache Kafka it is, if it was started here.
    pub(crate) fn version(&self) -> Option<&'static str> {
        self.started.as_ref()?;
        kafka_version()
    }

    /// How to reach it; each measurement takes topics of its own by its prefix.
    pub(crate) fn kafka(&self, topic_prefix: &str) -> Kafka {
        kafka(&self.brokers, topic_prefix)
    }
}

/// The script at work on a broker.
#[derive(Debug)]
pub(crate) struct Working(Child);

impl Working {
    /// Waits until the broker answers, or is gone.
    pub(crate) fn wait(mut self) -> Outcome {
        match self.0.wait()? {
            status if status.success() => Ok(()),
            status => Err(format!("the script that starts brokers failed: {status}").into()),
        }
    }
}

/// Version of whatever is Apache Kafka's here.
pub(crate) fn kafka_version() -> Option<&'static str> {
    version_in(POM)
}

fn version_in(pom: &str) -> Option<&str> {
    let (_, rest) = pom.split_once("<kafka.version>")?;
    rest.split_once('<').map(|(version, _)| version)
}

/// How to reach a broker of which only the address is known.
pub(crate) fn kafka(brokers: &str, topic_prefix: &str) -> Kafka {
    Kafka {
        brokers: brokers.to_owned(),
        options: Vec::new(),
        topic_prefix: topic_prefix.to_owned(),
        embedded: false,
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let Some(directory) = &self.started else { return };
        let wiped = Command::new(script()).args(["wipe", "--dir"]).arg(directory.path()).status();
        if !wiped.is_ok_and(|status| status.success()) {
            eprintln!("the broker in {} could not be wiped", directory.path().display());
        }
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../system-tests/kafka/kafka")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_and_brokers_are_of_the_same_version() {
        let version = kafka_version().unwrap();
        assert!(version.split('.').all(|part| part.parse::<u32>().is_ok()), "{version}");
        assert_eq!(version_in(include_str!("../kafka-streams/pom.xml")), Some(version));
    }
}
