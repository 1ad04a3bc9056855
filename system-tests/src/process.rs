//! One of our binaries as a process: started, watched through its log, asked to stop, or killed.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::power_cut::recorder::Recorder;
use crate::{binaries, wait};

/// Every process logs this once it accepts connections.
const LISTENING: &str = "listening on ";
/// A command service logs this as soon as it says how far its start is.
const HEALTH: &str = "health is answered on ";

/// A failpoint of a service that was built to do harm.
#[derive(Debug, Clone, Copy)]
pub struct Failpoint {
    /// As `daybook_service::fires` is asked for it.
    pub name: &'static str,
    /// When it fires, in the words of the crate `fail`.
    pub actions: &'static str,
}

/// A running process; killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

/// What a process left behind.
#[derive(Debug)]
pub struct Finished {
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Process {
    /// Starts a binary; its log is kept for [`Process::log`].
    pub fn start(name: &str, arguments: &[String]) -> Self {
        Self::spawn(name, command(&binaries::path(name), arguments))
    }

    /// Starts a binary whose command was changed by `prepare`.
    pub fn start_with(name: &str, arguments: &[String], prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = command(&binaries::path(name), arguments);
        prepare(&mut command);
        Self::spawn(name, command)
    }

    /// Starts the service `name` with a fault built in; its command was changed by `prepare`.
    pub fn start_sabotaged(
        name: &str,
        failpoint: Failpoint,
        arguments: &[String],
        prepare: impl FnOnce(&mut Command),
    ) -> Self {
        let mut command = command(&binaries::sabotaged(), arguments);
        command.arg0(name).env("FAILPOINTS", format!("{}={}", failpoint.name, failpoint.actions));
        prepare(&mut command);
        Self::spawn(name, command)
    }

    /// Starts a binary; what it does below `directory` is appended to `log`, and behind entry `kill_at` it is killed.
    pub fn start_recorded(
        name: &str,
        arguments: &[String],
        (recorder, directory, log): (&Recorder, &Path, &Path),
        kill_at: Option<u64>,
    ) -> Self {
        let mut command = command(&binaries::path(name), arguments);
        recorder.record(&mut command, directory, log, kill_at);
        Self::spawn(name, command)
    }

    fn spawn(name: &str, mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let stderr = child.stderr.take().expect("a pipe");
        let log = Arc::new(Mutex::new(String::new()));
        let copy = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = copy.lock().expect("no panic while logging");
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { name: name.to_owned(), child, log, reader: Some(reader) }
    }

    /// All that it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("no panic while logging").clone()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it has ended, if it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours")
    }

    /// Sends it a signal; it must not have ended.
    pub fn signal(&self, number: i32) {
        signal(&self.child, number);
    }

    /// Waits until it has ended by itself.
    pub fn ended(&mut self) -> ExitStatus {
        let what = format!("{} ends", self.name);
        wait::until(&what, || self.child.try_wait().expect("a child of ours"))
    }

    /// Waits until it has ended; how, and all that it said.
    pub fn last_words(&mut self) -> (ExitStatus, String) {
        let status = self.ended();
        if let Some(reader) = self.reader.take() {
            reader.join().expect("no panic while reading");
        }
        (status, self.log())
    }

    /// Waits until it listens, and says where.
    pub fn address(&mut self) -> SocketAddr {
        let what = format!("{} listens", self.name);
        wait::until(&what, || {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                panic!("{} ended with {status} before it listened:\n{}", self.name, self.log());
            }
            self.log().lines().find_map(listening)
        })
    }

    /// The same, for a process that may end before that, and then listens nowhere.
    pub fn address_if_it_lives(&mut self) -> Option<SocketAddr> {
        let what = format!("{} listens or ends", self.name);
        wait::until(&what, || match self.has_ended() {
            Some(_) => Some(None),
            None => self.log().lines().find_map(listening).map(Some),
        })
    }

    /// Waits until it listens, and says where; or how it ended before.
    pub fn listens(&mut self) -> Result<SocketAddr, ExitStatus> {
        let what = format!("{} listens or ends", self.name);
        wait::until(&what, || match self.log().lines().find_map(listening) {
            Some(address) => Some(Ok(address)),
            None => self.child.try_wait().expect("a child of ours").map(Err),
        })
    }

    /// Waits until it answers for its health, and says where. That is before it listens for anything else.
    pub fn health_address(&mut self) -> SocketAddr {
        let what = format!("{} answers for its health", self.name);
        let said = |line: &str| line.split_once(HEALTH)?.1.split_whitespace().next()?.parse().ok();
        wait::until(&what, || self.log().lines().find_map(said))
    }

    /// SIGKILL: it has no chance to finish anything.
    pub fn kill(mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
    }

    /// SIGTERM, and its exit status.
    pub fn terminate(mut self) -> ExitStatus {
        signal(&self.child, libc::SIGTERM);
        let what = format!("{} ends after SIGTERM", self.name);
        wait::until(&what, || self.child.try_wait().expect("a child of ours"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of {} ---\n{}", self.name, self.log());
        }
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listening(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(LISTENING)?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Sends a signal to a child.
pub fn signal(child: &Child, signal: i32) {
    send(i32::try_from(child.id()).expect("a pid"), signal);
}

/// Sends a signal to all that a child has started as well, as a terminal does. The child leads a process group of its own.
pub fn signal_group(leader: &Child, signal: i32) {
    send(-i32::try_from(leader.id()).expect("a pid"), signal);
}

#[expect(
    unsafe_code,
    reason = "std can only kill; kill(2) with the pid of a child that was not yet waited for is sound"
)]
fn send(pid: i32, signal: i32) {
    // SAFETY: kill has no memory effects; the pid is our unreaped child's, or its group's.
    let sent = unsafe { libc::kill(pid, signal) };
    assert_eq!(sent, 0, "the signal could not be sent");
}

/// Runs a binary to its end.
pub fn run(name: &str, arguments: &[String]) -> Finished {
    let mut command = command(&binaries::path(name), arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let stdout = read_all(child.stdout.take().expect("a pipe"));
    let stderr = read_all(child.stderr.take().expect("a pipe"));
    let what = format!("{name} {} ends", arguments.join(" "));
    let status = wait::until(&what, || child.try_wait().expect("a child of ours"));
    let text = |reader: std::thread::JoinHandle<String>| reader.join().expect("no panic while reading");
    Finished { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

fn read_all(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).expect("a readable pipe");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Without settings that the caller's environment may hold.
fn command(program: &Path, arguments: &[String]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    for (variable, _) in std::env::vars().filter(|(variable, _)| variable.starts_with("DAYBOOK_")) {
        command.env_remove(variable);
    }
    command
}
