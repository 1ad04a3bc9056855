//! One service: started, hurt, and started again with the same directory and port.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use daybook_event::headers;
use quickstart::client::{Answer, Client, Method};
use system_tests::process::{Failpoint, Process};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::disk::{BUILT_AGAIN, Disk, INDEX_ASIDE};
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
    /// What makes it do harm.
    failpoint: Option<Failpoint>,
    /// Longest time until it is ready once its Kafka is there.
    ready_max: Duration,
    process: Option<Process>,
    /// Its Kafka was away when it was started, so that it may give up.
    may_end: bool,
    /// What it writes to, if that can be made to fail.
    disk: Option<Disk>,
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
            failpoint: None,
            ready_max,
            process: None,
            may_end: false,
            disk: None,
            client,
            handle,
        }
    }

    /// The same service with a fault built in, and more flags.
    pub(crate) fn with(mut self, failpoint: Failpoint, flags: &[&str]) -> Self {
        self.failpoint = Some(failpoint);
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// The same service with a disk that can be made to fail.
    pub(crate) fn with_disk(mut self) -> Self {
        self.disk = Some(Disk::new(&self.data_dir));
        self
    }

    /// What it writes to.
    pub(crate) fn disk(&mut self) -> Fallible<&mut Disk> {
        self.disk.as_mut().ok_or_else(|| format!("nothing can be done to the disk of {}", self.name).into())
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
        let prepare = |command: &mut Command| {
            if let Some(disk) = &self.disk {
                disk.under(command);
            }
        };
        self.process = Some(match self.failpoint {
            Some(failpoint) => Process::start_sabotaged(self.name, failpoint, flags, prepare),
            None => Process::start_with(self.name, flags, prepare),
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
        let Some((status, said)) = self.terminate()? else { return Ok(()) };
        if self.has_met_damage(status, &said) {
            // It had to give its index up; what it has not sent yet, the next one sends.
            self.start();
            self.ready()?;
            return self.stop();
        }
        if status.code() == Some(0) {
            Ok(())
        } else {
            Err(format!("{} ended with {status} after SIGTERM", self.name).into())
        }
    }

    /// SIGTERM; how it ended, and all that it said.
    fn terminate(&mut self) -> Fallible<Option<(ExitStatus, String)>> {
        self.signal(libc::SIGTERM);
        let Some(mut process) = self.process.take() else { return Ok(None) };
        let deadline = Instant::now() + END_MAX;
        loop {
            match process.has_ended() {
                Some(_) => break,
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
        }
        let ended = process.last_words();
        self.keep_log(&process);
        Ok(Some(ended))
    }

    /// How it has ended, if it has, and all that it said.
    pub(crate) fn ended(&mut self) -> Option<(ExitStatus, String)> {
        let process = self.process.as_mut()?;
        process.has_ended()?;
        Some(process.last_words())
    }

    /// Whether it ended because of the damage that was done to its index, and so may have.
    fn has_met_damage(&self, status: ExitStatus, said: &str) -> bool {
        let last = said.lines().next_back().unwrap_or_default();
        self.may_meet_damage(said) && status.code() == Some(1) && last.contains(INDEX_ASIDE)
    }

    /// Whether there is damage in the index that a process which said this may meet.
    fn may_meet_damage(&self, said: &str) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.is_damaged) && !said.contains(BUILT_AGAIN)
    }

    /// Whether there is damage in the index that its process may meet.
    pub(crate) fn is_damaged(&self) -> bool {
        self.may_meet_damage(&self.process.as_ref().map(Process::log).unwrap_or_default())
    }

    /// The id of its process.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Status and problem of its answer to a command about what never was: refused, and remembered under its key, without an
    /// event. None if there is no answer.
    pub(crate) fn command_in_vain(&self) -> Option<(u16, String)> {
        let url = format!("{}/{}/{}", self.url, self.name, Uuid::now_v7());
        let request = self.client.request(Method::DELETE, &url);
        let key = Uuid::now_v7().to_string();
        let answer = self.handle.block_on(request.header(headers::IDEMPOTENCY_KEY, &key).send()).ok()?;
        let Answer { status, body, .. } = answer;
        Some((status, body["type"].as_str().unwrap_or_default().to_owned()))
    }

    /// Status of its answer to `GET`, if there is one.
    pub(crate) fn get(&self, path: &str) -> Option<u16> {
        let request = self.client.get(&format!("{}{path}", self.url));
        self.handle.block_on(request.send()).ok().map(|answer| answer.status)
    }

    /// Whether the process that runs has built its index again.
    pub(crate) fn has_built_index(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.log().contains(BUILT_AGAIN))
    }

    /// How often its processes have built the index again.
    pub(crate) fn indexes_built(&self) -> usize {
        self.log().matches(BUILT_AGAIN).count()
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

    /// A sentence, if it ended though nobody told it to, and nothing that was done to it is a reason to; it is started again
    /// then, as it is for a good reason.
    pub(crate) fn ended_unasked(&mut self) -> Option<String> {
        let (status, log) = self.ended()?;
        if self.may_end {
            return None;
        }
        let has_met_damage = self.has_met_damage(status, &log);
        self.kill();
        self.start();
        if has_met_damage {
            crate::report::progress(&format!("{} has met the damage of its index", self.name));
            return None;
        }
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

    /// Appends the log of a process to the service's file. An index that it has built is sound.
    fn keep_log(&mut self, process: &Process) {
        let is_damaged = self.may_meet_damage(&process.log());
        if let Some(disk) = &mut self.disk {
            disk.is_damaged = is_damaged;
        }
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
