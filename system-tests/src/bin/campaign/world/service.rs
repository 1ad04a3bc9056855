//! One service: started, hurt, and started again with the same directory and port.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use event_log::sabotage::Fault;
use quickstart::client::Client;
use system_tests::process::Process;
use tokio::runtime::Handle;

use crate::Fallible;

/// Longest time from SIGTERM to the end: the outbox is drained for up to 10 s.
const END_MAX: Duration = Duration::from_secs(60);
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(50);

/// A service with a directory and a port of its own.
pub(crate) struct Service {
    /// Its binary.
    pub(crate) name: &'static str,
    /// Its directory.
    pub(crate) data_dir: PathBuf,
    /// Where it listens.
    pub(crate) url: String,
    flags: Vec<String>,
    /// The fault that is built into it.
    fault: Option<Fault>,
    /// Longest time until it is ready once its Kafka is there.
    ready_max: Duration,
    process: Option<Process>,
    /// Its Kafka was away when it was started, so that it may give up.
    may_end: bool,
    client: Client,
    handle: Handle,
}

impl Service {
    pub(crate) fn new(
        name: &'static str,
        data_dir: &Path,
        port: u16,
        shared: &[String],
        ready_max: Duration,
        client: Client,
        handle: Handle,
    ) -> Self {
        let address = format!("127.0.0.1:{port}");
        let mut flags = shared.to_vec();
        flags.extend(["--listen".to_owned(), address.clone()]);
        flags.extend(["--data-dir".to_owned(), data_dir.display().to_string()]);
        let url = format!("http://{address}");
        Self {
            name,
            data_dir: data_dir.to_owned(),
            url,
            flags,
            fault: None,
            ready_max,
            process: None,
            may_end: false,
            client,
            handle,
        }
    }

    /// The same service with a fault built in, and more flags.
    pub(crate) fn with(mut self, fault: Fault, flags: &[&str]) -> Self {
        self.fault = Some(fault);
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// Starts it.
    pub(crate) fn start(&mut self) {
        self.start_with(&self.flags.clone());
    }

    /// Starts it where nothing is left of its directory, as another instance that knows what the log has.
    pub(crate) fn start_on_new_disk(&mut self) -> Fallible<()> {
        std::fs::remove_dir_all(&self.data_dir)
            .map_err(|error| format!("{}: {error}", self.data_dir.display()))?;
        let more = ["--recover", "--take-over"].map(str::to_owned);
        self.start_with(&[&self.flags[..], &more[..]].concat());
        Ok(())
    }

    fn start_with(&mut self, flags: &[String]) {
        self.may_end = false;
        self.process = Some(match self.fault {
            Some(fault) => Process::start_sabotaged(self.name, fault, flags),
            None => Process::start(self.name, flags),
        });
    }

    /// Starts it while its Kafka is away: it may give up, and is started again by [`Service::ready`].
    pub(crate) fn start_without_kafka(&mut self) {
        self.start();
        self.may_end = true;
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            self.keep_log(&process);
            process.kill();
        }
    }

    /// Sends it a signal, if it runs.
    pub(crate) fn signal(&mut self, number: i32) {
        if let Some(process) = &mut self.process
            && process.has_ended().is_none()
        {
            process.signal(number);
        }
    }

    /// SIGTERM; it has to end with exit code 0.
    pub(crate) fn stop(&mut self) -> Fallible<()> {
        self.signal(libc::SIGTERM);
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let deadline = Instant::now() + END_MAX;
        let status = loop {
            match process.has_ended() {
                Some(status) => break status,
                None if Instant::now() >= deadline => {
                    self.keep_log(&process);
                    return Err(format!(
                        "{} did not end within {} s after SIGTERM",
                        self.name,
                        END_MAX.as_secs()
                    )
                    .into());
                }
                None => std::thread::sleep(POLL),
            }
        };
        self.keep_log(&process);
        if status.code() == Some(0) {
            Ok(())
        } else {
            Err(format!("{} ended with {status} after SIGTERM", self.name).into())
        }
    }

    /// Waits until it answers that it is ready, and starts it if it may have given up.
    pub(crate) fn ready(&mut self) -> Fallible<()> {
        let deadline = Instant::now() + self.ready_max;
        let url = format!("{}/health/ready", self.url);
        loop {
            let answer = self.handle.block_on(self.client.get(&url).send());
            if answer.is_ok_and(|answer| answer.status == 200) {
                self.may_end = false;
                return Ok(());
            }
            if self.may_end && self.process.as_mut().is_some_and(|process| process.has_ended().is_some()) {
                self.kill();
                self.start();
            }
            if let Some(ended) = self.ended_unasked() {
                return Err(ended.into());
            }
            if Instant::now() >= deadline {
                return Err(self.late().into());
            }
            std::thread::sleep(POLL);
        }
    }

    /// A sentence, if it ended though nobody told it to; it is started again then.
    pub(crate) fn ended_unasked(&mut self) -> Option<String> {
        let status = self.process.as_mut()?.has_ended()?;
        if self.may_end {
            return None;
        }
        let log = self.process.as_ref().map(Process::log).unwrap_or_default();
        self.kill();
        self.start();
        Some(format!("{} ended with {status}, and nobody had told it to:\n{}", self.name, last_lines(&log)))
    }

    fn late(&self) -> String {
        let log = self.process.as_ref().map(Process::log).unwrap_or_default();
        format!("{} was not ready within {} s:\n{}", self.name, self.ready_max.as_secs(), last_lines(&log))
    }

    /// All that its processes have logged so far.
    pub(crate) fn log(&self) -> String {
        // There is no file as long as the first process runs.
        let kept = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        kept + &self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.data_dir.with_extension("log")
    }

    /// Appends the log of a process to the service's file.
    fn keep_log(&self, process: &Process) {
        let path = self.log_path();
        let file = OpenOptions::new().create(true).append(true).open(&path);
        if let Err(error) = file.and_then(|mut file| file.write_all(process.log().as_bytes())) {
            crate::report::progress(&format!("{} could not be written: {error}", path.display()));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // A paused process dies of SIGKILL as well; its log is kept by that.
        self.kill();
    }
}

/// The end of a log, for a report.
pub(crate) fn last_lines(log: &str) -> String {
    const LINES: usize = 15;
    let lines: Vec<_> = log.lines().collect();
    lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n")
}
