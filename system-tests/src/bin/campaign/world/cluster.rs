//! Kafka, by its script, and a proxy before each broker; wiped in the end.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use system_tests::binaries;
use tokio::runtime::Handle;

use super::proxy::Proxy;
use crate::Fallible;

/// Ports of the brokers' listeners for their proxies, and of the proxies, come after all others.
const PROXY_PORT: u16 = 20;

/// A cluster of our own.
pub(crate) struct Cluster {
    directory: PathBuf,
    /// How many brokers it has.
    pub(crate) brokers: usize,
    /// Where services reach it: the proxies.
    pub(crate) bootstrap: String,
    proxies: Vec<Proxy>,
}

impl Cluster {
    /// Makes and starts it.
    pub(crate) fn start(directory: &Path, brokers: &str, port: u16, handle: &Handle) -> Fallible<Self> {
        let count: u16 = brokers.parse()?;
        // Two for each broker: its own listener, and the proxy before it.
        let listeners = (0..count).map(|index| port + PROXY_PORT + 2 * index);
        let bootstrap: Vec<_> =
            listeners.clone().map(|listener| format!("127.0.0.1:{}", listener + 1)).collect();
        let mut cluster = Self {
            directory: directory.to_owned(),
            brokers: count.into(),
            bootstrap: bootstrap.join(","),
            proxies: Vec::new(),
        };
        let (first_proxied, port) = ((port + PROXY_PORT).to_string(), port.to_string());
        let ports = ["--port", &port, "--proxy-port", &first_proxied];
        cluster.run("up", &[&["--brokers", brokers, "--fast-start"], &ports[..]].concat())?;
        for listener in listeners {
            cluster.proxies.push(Proxy::start(listener + 1, listener, handle)?);
        }
        Ok(cluster)
    }

    /// The proxy before one broker, counted from 1.
    pub(crate) fn proxy(&self, number: usize) -> Option<&Proxy> {
        self.proxies.get(number.checked_sub(1)?)
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
