//! Service A on a directory of its own, and everything that its clients were told.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use daybook_event::sequence::{Sequence, Verdict};
use daybook_kafka::topics;
use serde_json::{Value, json};
use system_tests::broker::{PARTITIONS, TestBroker};
use system_tests::process::Process;
use system_tests::{log, wait};
use tempfile::TempDir;

pub(crate) const TOPIC: &str = "users.events";
const PREFIX: &str = "daybook-faults-";

/// A log, a directory, and what was asked of the service that has it.
pub(crate) struct World {
    pub(crate) broker: TestBroker,
    directory: TempDir,
    pub(crate) told: Vec<Told>,
    /// Key and body of the last command that was not decided as far as its client knows.
    unanswered: Option<(String, String)>,
    asked: usize,
}

/// A command that was answered, and how.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) key: String,
    request: String,
    pub(crate) answer: Answer,
    /// Partition and position of its event, if it has one.
    pub(crate) at: Option<(usize, u64)>,
}

/// Status and body.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// The last part of a problem's type.
    pub(crate) fn problem(&self) -> &str {
        self.body["type"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default()
    }

    pub(crate) fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap_or_default()
    }

    pub(crate) fn user_id(&self) -> &str {
        self.body["user_id"].as_str().expect("a user")
    }
}

/// Whether what the service sends arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kafka {
    There,
    /// Its producer waits for ever for more to send along.
    Away,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(TempDir::with_prefix(PREFIX).expect("a temporary directory"))
    }

    /// In memory where there is a place for that: for many commands, whose syncs are not what matters.
    pub(crate) fn in_memory() -> Self {
        TempDir::with_prefix_in(PREFIX, "/dev/shm").map_or_else(|_| Self::new(), Self::with)
    }

    fn with(directory: TempDir) -> Self {
        Self { broker: TestBroker::embedded(), directory, told: Vec::new(), unanswered: None, asked: 0 }
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.directory.path().join("data/store")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub(crate) fn start(&self, kafka: Kafka, flags: &[&str]) -> Process {
        self.start_with(kafka, flags, |_| {})
    }

    pub(crate) fn start_with(
        &self,
        kafka: Kafka,
        flags: &[&str],
        prepare: impl FnOnce(&mut Command),
    ) -> Process {
        let mut all = self.broker.flags();
        all.extend(["--listen", "127.0.0.1:0", "--data-dir"].map(str::to_owned));
        all.push(self.data().display().to_string());
        if kafka == Kafka::Away {
            all.extend(["--kafka", "linger.ms=900000", "--drain-timeout-ms", "0"].map(str::to_owned));
        }
        all.extend(flags.iter().map(|flag| (*flag).to_owned()));
        Process::start_with("users", &all, prepare)
    }

    /// Signs somebody new up under a fresh key; the answer is kept unless it is that nothing was decided.
    pub(crate) fn sign_up(&mut self, address: SocketAddr) -> Option<Answer> {
        let number = self.asked;
        self.ask(address, &format!("{number}@example.org"))
    }

    /// Asks for what no rule allows, under a fresh key.
    pub(crate) fn ask_in_vain(&mut self, address: SocketAddr) -> Option<Answer> {
        self.ask(address, "nobody")
    }

    fn ask(&mut self, address: SocketAddr, email: &str) -> Option<Answer> {
        let key = format!("key-{}", self.asked);
        self.asked += 1;
        let request =
            json!({"email": email, "name": "n".repeat(200), "address": "a".repeat(500)}).to_string();
        self.unanswered = Some((key, request));
        self.send(address)
    }

    /// Asks once more for what had no answer; none if everything had one, or the service went away.
    pub(crate) fn unanswered(&mut self, address: SocketAddr) -> Option<Answer> {
        self.unanswered.is_some().then(|| self.send(address)).flatten()
    }

    pub(crate) fn is_unanswered(&self) -> bool {
        self.unanswered.is_some()
    }

    fn send(&mut self, address: SocketAddr) -> Option<Answer> {
        let (key, request) = self.unanswered.clone().expect("a command without an answer");
        let (answer, at) = post(address, &key, &request)?;
        // It is still being worked on, or it was not decided.
        if answer.status < 500 && answer.problem() != "request-in-flight" {
            self.told.push(Told { key, request, answer: answer.clone(), at });
            self.unanswered = None;
        }
        Some(answer)
    }

    /// Asks for what no rule allows, under a fresh key, and forgets about it.
    pub(crate) fn in_vain(&self, address: SocketAddr) -> Option<Answer> {
        let request = json!({"email": "nobody", "name": "n", "address": "a"}).to_string();
        Some(post(address, &uuid::Uuid::now_v7().to_string(), &request)?.0)
    }

    /// Changes a user, without a key.
    pub(crate) fn change(&self, address: SocketAddr, user_id: &str, number: usize) -> Option<Answer> {
        let body = json!({"name": format!("{number}"), "address": "𝄞".repeat(500)}).to_string();
        Some(request_of(address, "PATCH", &format!("/users/{user_id}"), "", &body)?.0)
    }

    /// So many users sign up, and one in four asks in vain besides.
    pub(crate) fn fill(&mut self, address: SocketAddr, users: usize) {
        for number in 0..users {
            let answer = self.sign_up(address).expect("an answer");
            assert_eq!(answer.status, 201, "{}", answer.body);
            if number % 4 == 0 {
                assert_eq!(self.ask_in_vain(address).map(|answer| answer.status), Some(422));
            }
        }
    }

    /// Everybody who was told to have signed up, and where the event of that is.
    pub(crate) fn users(&self) -> impl DoubleEndedIterator<Item = (&Answer, (usize, u64))> {
        self.told.iter().filter_map(|told| Some((&told.answer, told.at?)))
    }

    /// What the topic has at each position; panics unless positions are contiguous and each has one event.
    pub(crate) fn logged(&self) -> BTreeMap<(usize, u64), String> {
        let mut logged = BTreeMap::new();
        for (partition, records) in log::records(self.broker.kafka(), TOPIC).into_iter().enumerate() {
            let mut sequence = Sequence::default();
            for record in records {
                let verdict = sequence.check(record.epoch, record.position, record.id, record.previous_id);
                let verdict = verdict.unwrap_or_else(|error| panic!("partition {partition}: {error}"));
                sequence.pass(verdict, record.epoch, record.id, record.offset);
                if verdict == Verdict::Apply {
                    let key = String::from_utf8(record.record.0).expect("a key in UTF-8");
                    logged.insert((partition, record.position), key);
                }
            }
        }
        logged
    }

    /// How many records the topic has, claims and all.
    pub(crate) fn records(&self) -> i64 {
        let all: Vec<_> = (0..PARTITIONS).map(|partition| (TOPIC, partition)).collect();
        let marks = topics::all_watermarks(self.broker.kafka(), &all).expect("the ends of the topic");
        marks.iter().map(|marks| marks.high).sum()
    }

    /// Every user is shown, every key gives its first answer, and after a stop the log has everything once.
    pub(crate) fn assert_whole(&self, mut process: Process) {
        let address = process.address();
        for told in &self.told {
            assert_eq!(told.repeated(address).as_ref(), Some(&told.answer), "{}", told.key);
        }
        self.assert_users(process);
    }

    /// Every user is shown, and after a stop the log has everybody once.
    pub(crate) fn assert_users(&self, mut process: Process) {
        let address = process.address();
        for (user, _) in self.users() {
            assert_eq!(shown(address, user.user_id()), Some(Answer { status: 200, ..user.clone() }));
        }
        let (status, said) = stopped(process);
        assert_eq!(status.code(), Some(0), "{said}");
        let logged = self.logged();
        for (user, at) in self.users() {
            assert_eq!(logged.get(&at).map(String::as_str), Some(user.user_id()), "{at:?}");
        }
    }
}

impl Told {
    /// The same request again.
    pub(crate) fn repeated(&self, address: SocketAddr) -> Option<Answer> {
        Some(post(address, &self.key, &self.request)?.0)
    }
}

/// SIGTERM; how it ended, and all that it said.
pub(crate) fn stopped(mut process: Process) -> (ExitStatus, String) {
    process.signal(libc::SIGTERM);
    process.last_words()
}

fn post(address: SocketAddr, key: &str, request: &str) -> Option<(Answer, Option<(usize, u64)>)> {
    let key = format!("idempotency-key: \"{key}\"\r\n");
    let (answer, head) = request_of(address, "POST", "/users", &key, request)?;
    let token = head.lines().find_map(|line| line.strip_prefix("daybook-token: "));
    let at = token.map(|token| {
        let token: daybook_event::token::Token = token.parse().expect("a token");
        (token.positions[0].partition as usize, token.positions[0].position)
    });
    Some((answer, at))
}

/// A user as the service shows it.
pub(crate) fn shown(address: SocketAddr, user_id: &str) -> Option<Answer> {
    get(address, &format!("/users/{user_id}"))
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Option<Answer> {
    Some(request_of(address, "GET", path, "", "")?.0)
}

/// One request on a connection of its own: the answer and its head; none if the service went away meanwhile.
fn request_of(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Option<(Answer, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(wait::DEADLINE)).ok()?;
    let head = format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}");
    let length = body.len();
    write!(stream, "{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    // Figures are a text.
    let body = serde_json::from_str(body).unwrap_or_else(|_| Value::from(body));
    Some((Answer { status, body }, head.to_owned()))
}
