//! The program in `benchmarks/kafka-streams/`: whether it can be built here, its building, and how it is started.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use daybook_kafka::Kafka;

use crate::Outcome;

/// How long a build may take; the first one downloads its dependencies.
const BUILD_WITHIN: Duration = Duration::from_secs(600);
/// How often is looked whether Maven has ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a run may take before it gives up by itself, and puts away what it has made on the broker.
const RUN_WITHIN: Duration = Duration::from_secs(900);

/// One way to set it up.
#[derive(Debug)]
pub(super) struct Setup {
    /// As the table names it.
    pub(super) name: &'static str,
    /// Cache in front of all its stores, as Kafka Streams counts it; 0 for none.
    cache_mib: u32,
    /// The heap that it needs.
    heap: &'static str,
}

/// Its cache shields a store from rows that change often, which orders do not; so it is measured without one as well.
/// What is cached takes several times its bytes on the heap: a cache of 256 MiB fills 1.7 GB.
pub(super) const SETUPS: [Setup; 2] = [
    Setup { name: "cache 256 MiB", cache_mib: 256, heap: "-Xmx2g" },
    Setup { name: "no cache", cache_mib: 0, heap: "-Xmx1g" },
];

/// Whether there is something to run.
#[derive(Debug)]
pub(super) enum Found {
    /// It is built.
    Built(Jar),
    /// It is not to be run, or cannot be; the sentence says why.
    Not(&'static str),
}

/// The program, built.
#[derive(Debug)]
pub(super) struct Jar {
    path: PathBuf,
}

/// Builds it if Java and Maven are there.
///
/// # Errors
/// The build failed: what is needed is there, so this is not passed over.
pub(super) fn build() -> Outcome<Found> {
    for (program, version, missing) in
        [("java", "-version", "Java is missing"), ("mvn", "--version", "Maven is missing")]
    {
        if !is_there(program, version)? {
            return Ok(Found::Not(missing));
        }
    }
    eprintln!("building benchmarks/kafka-streams ...");
    let mut maven = Command::new("mvn");
    // Its messages belong beside ours; on standard output stands the table.
    maven.args(["-q", "-B", "package"]).current_dir(folder()).stdin(Stdio::null()).stdout(std::io::stderr());
    match ended(maven.spawn()?, BUILD_WITHIN)? {
        Some(status) if status.success() => {}
        Some(status) => return Err(format!(
            "Maven could not build benchmarks/kafka-streams ({status}); --no-streams leaves Kafka Streams out"
        )
        .into()),
        None => return Err(format!(
            "Maven did not build benchmarks/kafka-streams within {} s; --no-streams leaves Kafka Streams out",
            BUILD_WITHIN.as_secs()
        )
        .into()),
    }
    Ok(Found::Built(Jar { path: folder().join("target/kafka-streams-benchmark.jar") }))
}

impl Jar {
    /// One run on the topics of `kafka`, with its stores in `state_dir`.
    pub(super) fn command(&self, setup: &Setup, kafka: &Kafka, state_dir: &Path) -> Command {
        let mut command = Command::new("java");
        command.args([setup.heap, "-jar"]).arg(&self.path);
        command.args(["--brokers", &kafka.brokers, "--topic-prefix", &kafka.topic_prefix]);
        command.arg("--state-dir").arg(state_dir);
        command.args(["--within-seconds", &RUN_WITHIN.as_secs().to_string()]);
        command.args(["--cache-mib", &setup.cache_mib.to_string()]);
        command
    }
}

fn is_there(program: &str, version: &str) -> Outcome<bool> {
    let tried = Command::new(program)
        .arg(version)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match tried {
        Ok(status) => Ok(status.success()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(format!("{program} could not be started: {error}").into()),
    }
}

/// How a child has ended; one that has not within this time is killed.
fn ended(mut child: Child, within: Duration) -> Outcome<Option<ExitStatus>> {
    let deadline = Instant::now() + within;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(LOOK_EVERY);
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka-streams")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_installed_is_missing() {
        assert!(!is_there("no-such-program-of-daybook", "--version").unwrap());
    }

    #[test]
    fn a_child_that_takes_too_long_is_killed() {
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        assert_eq!(ended(child, Duration::ZERO).unwrap(), None);
        let child = Command::new("true").spawn().unwrap();
        assert!(ended(child, Duration::from_secs(60)).unwrap().is_some_and(|status| status.success()));
    }
}
