//! An example as a process, and requests to it.

use std::env;
use std::io::{self, BufRead as _, BufReader, PipeReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output};
use std::time::Duration;

/// Nothing here takes that long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running example. It is killed if the test fails.
pub(crate) struct Program {
    child: Child,
    output: BufReader<PipeReader>,
    /// What it has said, as far as it was read.
    pub(crate) said: String,
}

/// The example, ready to be started. Cargo builds examples before the tests of their package, unless one test is named.
pub(crate) fn example(name: &str) -> Command {
    let test = env::current_exe().unwrap();
    let path: PathBuf = test.parent().unwrap().with_file_name("examples").join(name);
    assert!(path.exists(), "{} is not built: cargo build -p daybook --examples", path.display());
    let mut command = Command::new(path);
    command.env_clear();
    command
}

/// Runs it to its end.
pub(crate) fn output(name: &str, arguments: &[&str]) -> Output {
    example(name).args(arguments).output().unwrap()
}

impl Program {
    /// Starts it.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        let (output, all) = io::pipe().unwrap();
        let child = example(name).args(arguments).stdout(all.try_clone().unwrap()).stderr(all).spawn();
        Self { child: child.unwrap(), output: BufReader::new(output), said: String::new() }
    }

    /// Reads what it says until a line has `what`, and gives what stands behind that.
    pub(crate) fn says(&mut self, what: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).unwrap();
            assert!(read > 0, "it ended before it said {what:?}: {}", self.said);
            self.said.push_str(&line);
            if let Some((_, rest)) = line.split_once(what) {
                return rest.trim().to_owned();
            }
        }
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(mut self) -> (ExitStatus, String) {
        let killed = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: String,
    pub(crate) body: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// `GET url`, once it has what `after` says, if that says anything.
pub(crate) fn get(url: &str, after: &str) -> Answer {
    let after = if after.is_empty() { String::new() } else { format!("daybook-after: {after}\r\n") };
    send("GET", url, &after, "")
}

/// `POST url` with a JSON body.
pub(crate) fn post(url: &str, body: &str) -> Answer {
    send("POST", url, "content-type: application/json\r\n", body)
}

/// The same, once it has what `after` says.
pub(crate) fn post_after(url: &str, body: &str, after: &str) -> Answer {
    send("POST", url, &format!("content-type: application/json\r\ndaybook-after: {after}\r\n"), body)
}

fn send(method: &str, url: &str, headers: &str, body: &str) -> Answer {
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let length = body.len();
    let request = format!(
        "{method} /{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let (status, headers) = head.split_once("\r\n").unwrap();
    let status = status.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, headers: headers.to_owned(), body: body.to_owned() }
}
