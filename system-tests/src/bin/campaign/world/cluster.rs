//! Kafka, by its script; wiped in the end.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use system_tests::binaries;

use crate::Fallible;

/// A cluster of our own.
pub(crate) struct Cluster {
    directory: PathBuf,
    /// How many brokers it has.
    pub(crate) brokers: usize,
    /// Where it can be reached.
    pub(crate) bootstrap: String,
}

impl Cluster {
    /// Makes and starts it.
    pub(crate) fn start(directory: &Path, brokers: &str, port: u16) -> Fallible<Self> {
        let mut cluster =
            Self { directory: directory.to_owned(), brokers: brokers.parse()?, bootstrap: String::new() };
        let port = port.to_string();
        let printed = cluster.run("up", &["--brokers", brokers, "--port", &port, "--fast-start"])?;
        printed.lines().last().unwrap_or_default().clone_into(&mut cluster.bootstrap);
        Ok(cluster)
    }

    /// `kill`, `start`, `pause` or `resume` of one broker, counted from 1.
    pub(crate) fn broker(&self, what: &str, number: usize) -> Fallible<()> {
        self.run(what, &[&number.to_string()]).map(drop)
    }

    /// Starts all brokers that are not there, at once, and waits until they answer.
    pub(crate) fn all_up(&self) -> Fallible<()> {
        self.run("up", &["--fast-start"]).map(drop)
    }

    fn run(&self, command: &str, arguments: &[&str]) -> Fallible<String> {
        let mut script = Command::new(binaries::root().join("system-tests/kafka/kafka"));
        script.arg(command).arg("--dir").arg(&self.directory).args(arguments).stdin(Stdio::null());
        let output = script.output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(format!("kafka {command} {} failed: {said}", arguments.join(" ")).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Without this file of the script there is nothing to wipe.
        if !self.directory.join("brokers").exists() {
            return;
        }
        if let Err(error) = self.run("wipe", &[]) {
            crate::report::progress(&format!("{}: {error}", self.directory.display()));
        }
    }
}
