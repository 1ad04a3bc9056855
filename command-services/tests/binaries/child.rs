//! A service as a process of its own, and requests to it over a real port.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use daybook_kafka::embedded::EmbeddedBroker;

/// How long a test waits for what must come.
const DEADLINE: Duration = Duration::from_secs(60);
pub(crate) const PARTITIONS: i32 = 3;

pub(crate) fn users() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_users"));
    // A developer's own settings must not reach into the tests.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DAYBOOK_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn broker() -> EmbeddedBroker {
    let broker = EmbeddedBroker::start().unwrap();
    broker.create_topic("users.events", PARTITIONS).unwrap();
    broker
}

/// `users` on this broker and directory.
pub(crate) fn users_on(broker: &EmbeddedBroker, dir: &Path) -> Command {
    let mut command = users();
    command.args(["--embedded-broker", "--listen", "127.0.0.1:0", "--partitions", &PARTITIONS.to_string()]);
    command.args(["--brokers", &broker.bootstrap()]).arg("--data-dir").arg(dir);
    command
}

/// A running service.
pub(crate) struct Service {
    child: Child,
    pub(crate) address: String,
    stderr: Option<JoinHandle<String>>,
}

impl Service {
    /// Starts it and waits until it listens.
    pub(crate) fn start(command: Command) -> Self {
        Self::start_until(command, "listening on ")
    }

    /// Starts it and waits until it says where it answers, behind these words.
    pub(crate) fn start_until(mut command: Command, words: &'static str) -> Self {
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (said, says) = mpsc::channel();
        let stderr = std::thread::spawn(move || {
            let mut all = String::new();
            for line in stderr.lines() {
                let line = line.unwrap();
                if let Some((_, address)) = line.split_once(words) {
                    let address = address.split_whitespace().next().unwrap().to_owned();
                    // Nobody waits for the same words once more.
                    let _ = said.send(address);
                }
                all += &line;
                all.push('\n');
            }
            all
        });
        let Ok(address) = says.recv_timeout(DEADLINE) else {
            child.kill().unwrap();
            panic!("the service does not listen:\n{}", stderr.join().unwrap());
        };
        Self { child, address, stderr: Some(stderr) }
    }

    pub(crate) fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// SIGKILL: no last words, no last writes.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; returns how it ended and everything it said.
    pub(crate) fn terminate(self) -> (ExitStatus, String) {
        assert!(Command::new("kill").args(["-TERM", &self.pid()]).status().unwrap().success());
        self.ended()
    }

    /// Waits for its end; returns how it ended and everything it said.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + DEADLINE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the service does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        (status, self.stderr.take().unwrap().join().unwrap())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            // The test has failed already, or does not care how it ends.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// One request on a connection of its own; none if the service went away meanwhile.
pub(crate) fn request(address: &str, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    request_with(address, method, path, "", body)
}

/// The same with headers, each of which ends its line.
pub(crate) fn request_with(
    address: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
