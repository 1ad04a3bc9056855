//! Disks that are full, take no writes, or hang while they sync: on file systems that a test mounts itself.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use system_tests::broker::TestBroker;
use system_tests::mounted::Mounted;
use system_tests::process::Process;
use system_tests::site::{READ_MODEL, Site};
use system_tests::{log, wait};

/// Room for a store and some more.
const SMALL_MIB: u64 = 24;
/// Many times as many commands as fill what a store has set aside before the disk became full.
const COMMANDS_MAX: usize = 50_000;
/// With which requests do not wait for long while the disk hangs.
const REQUEST_TIMEOUT_MS: &str = "2000";
/// Pause between two commands that are refused.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Service A on a directory of its own, and who has signed up.
struct Users {
    address: String,
    acknowledged: BTreeMap<String, Value>,
    asked: usize,
}

impl Users {
    fn at(process: &mut Process) -> Self {
        Self { address: process.address().to_string(), acknowledged: BTreeMap::new(), asked: 0 }
    }

    /// Status, head and body of an answer.
    fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, Value) {
        self.try_request(method, path, headers, body).expect("an answer")
    }

    /// The same; none if the service is gone.
    fn try_request(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Option<(u16, String, Value)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}");
        let length = body.len();
        write!(stream, "{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Some((status, head.to_owned(), serde_json::from_str(body).unwrap_or(Value::Null)))
    }

    /// Signs somebody new up; the refusal, if it is refused.
    fn sign_up(&mut self) -> Result<(), (String, Value)> {
        self.try_sign_up().expect("an answer")
    }

    /// The same; none if the service is gone.
    fn try_sign_up(&mut self) -> Option<Result<(), (String, Value)>> {
        self.asked += 1;
        let email = format!("{}@example.org", self.asked);
        let body = json!({"email": email, "name": "n".repeat(200), "address": "a".repeat(500)});
        let (status, head, body) = self.try_request("POST", "/users", "", &body.to_string())?;
        if status == 201 {
            self.acknowledged.insert(body["user_id"].as_str().unwrap().to_owned(), body);
            return Some(Ok(()));
        }
        assert_eq!(status, 503, "{body}");
        Some(Err((head, body)))
    }

    fn refused(&mut self) -> (String, Value) {
        let refused = (0..COMMANDS_MAX).find_map(|_| self.sign_up().err());
        refused.expect("the disk takes everything")
    }

    /// As it must be while the disk takes no writes.
    fn assert_refuses(&mut self) {
        let (head, problem) = self.refused();
        assert_eq!(problem["type"], "/problems/store-fails", "{problem}");
        assert!(head.contains("retry-after: 1"), "{head}");
        assert!(problem["detail"].as_str().unwrap().contains("could not be written to disk"), "{problem}");
        assert_eq!(self.request("GET", "/health/live", "", "").0, 200);
        wait::until("it says that it is not ready", || {
            (self.request("GET", "/health/ready", "", "").0 == 503).then_some(())
        });
    }

    fn goes_on(&mut self) {
        let deadline = Instant::now() + wait::DEADLINE;
        while let Err((_, problem)) = self.sign_up() {
            assert!(Instant::now() < deadline, "it does not go on: {problem}");
            std::thread::sleep(RETRY_PAUSE);
        }
        assert_eq!(self.request("GET", "/health/ready", "", "").0, 200);
        self.assert_kept();
    }

    fn assert_kept(&self) {
        for (user_id, user) in &self.acknowledged {
            let (status, _, body) = self.request("GET", &format!("/users/{user_id}"), "", "");
            assert_eq!((status, &body), (200, user));
        }
    }
}

fn start(broker: &TestBroker, data: &std::path::Path) -> Process {
    let mut flags = broker.flags();
    flags.extend(["--listen".to_owned(), "127.0.0.1:0".to_owned()]);
    flags.extend(["--request-timeout-ms".to_owned(), REQUEST_TIMEOUT_MS.to_owned()]);
    flags.extend(["--data-dir".to_owned(), data.display().to_string()]);
    Process::start("users", &flags)
}

/// Nothing acknowledged is missing in the log, and nothing is there twice.
fn assert_in_log(broker: &TestBroker, users: &Users) {
    let events = log::events(broker.kafka(), "users.events").concat().len();
    assert!((users.acknowledged.len()..=users.asked).contains(&events), "{events} of {}", users.asked);
}

#[test]
#[ignore = "mounts a file system: needs root"]
fn a_full_file_system_refuses_commands_until_there_is_space() {
    let (broker, directory) = (TestBroker::embedded(), tempfile::tempdir().unwrap());
    let Some(disk) = Mounted::tmpfs(directory.path(), SMALL_MIB) else { return };
    let mut process = start(&broker, directory.path());
    let mut users = Users::at(&mut process);
    users.sign_up().unwrap();
    disk.fill();
    users.assert_refuses();
    disk.free();
    users.goes_on();
    assert_eq!(process.terminate().code(), Some(0));
    assert_in_log(&broker, &users);
}

#[test]
#[ignore = "mounts a file system: needs root"]
fn a_disk_that_takes_no_writes_for_a_while_refuses_commands_as_long() {
    let (broker, directory) = (TestBroker::embedded(), tempfile::tempdir().unwrap());
    let Some(disk) = Mounted::ext4(directory.path()) else { return };
    let mut process = start(&broker, directory.path());
    let mut users = Users::at(&mut process);
    users.sign_up().unwrap();
    disk.forbid_writes("store/index/db");
    users.assert_refuses();
    disk.allow_writes("store/index/db");
    users.goes_on();
    assert_eq!(process.terminate().code(), Some(0));
    assert_in_log(&broker, &users);
}

#[test]
#[ignore = "mounts a file system: needs root"]
fn a_file_system_that_turned_read_only_keeps_all_that_was_acknowledged() {
    let (broker, directory) = (TestBroker::embedded(), tempfile::tempdir().unwrap());
    let Some(disk) = Mounted::ext4(directory.path()) else { return };
    let mut process = start(&broker, directory.path());
    let mut users = Users::at(&mut process);
    (0..100).for_each(|_| users.sign_up().unwrap());
    disk.break_down();
    // It refuses, or has ended before it could answer: a failed write of the journal ends it.
    let answer = users.try_sign_up();
    assert!(answer.is_none_or(|answer| answer.is_err()), "acknowledged on a disk that takes nothing");
    process.terminate();
    disk.mount_again();
    let mut process = start(&broker, directory.path());
    users.address = process.address().to_string();
    users.goes_on();
    assert_eq!(process.terminate().code(), Some(0));
    assert_in_log(&broker, &users);
}

#[test]
#[ignore = "mounts a file system: needs root"]
fn while_a_sync_hangs_requests_end_at_their_deadline_and_nothing_is_acknowledged() {
    let (broker, directory) = (TestBroker::embedded(), tempfile::tempdir().unwrap());
    let Some(disk) = Mounted::ext4(directory.path()) else { return };
    let mut process = start(&broker, directory.path());
    let mut users = Users::at(&mut process);
    users.sign_up().unwrap();
    let frozen = disk.freeze();
    let ada = json!({"email": "ada@example.org", "name": "Ada", "address": "1 Row"}).to_string();
    let key = "idempotency-key: \"once\"\r\n";
    let (status, head, problem) = users.request("POST", "/users", key, &ada);
    assert_eq!((status, problem["type"].as_str()), (503, Some("/problems/timeout")), "{problem}");
    assert!(head.contains("retry-after: 1"), "{head}");
    let unsettled = problem["detail"].as_str().unwrap();
    assert!(unsettled.contains("may have been decided all the same"), "{unsettled}");
    assert_eq!(users.request("GET", "/health/live", "", "").0, 200);
    drop(frozen);
    wait::until("the command is decided once", || {
        let (status, _, body) = users.request("POST", "/users", key, &ada);
        assert!(status == 201 || status == 503 || status == 409, "{status} {body}");
        (status == 201).then_some(())
    });
    users.asked += 1;
    users.goes_on();
    assert_eq!(process.terminate().code(), Some(0));
    let events = log::events(broker.kafka(), "users.events").concat().len();
    assert_eq!(events, users.acknowledged.len() + 1, "the one that timed out is there once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "mounts a file system: needs root"]
async fn d_says_that_its_disk_is_full_and_goes_on_once_there_is_space() {
    let mut site = Site::start(TestBroker::embedded()).await;
    assert_eq!(site.query.take().unwrap().terminate().code(), Some(0));
    let Some(disk) = Mounted::tmpfs(&site.data(READ_MODEL), SMALL_MIB) else { return };
    site.start_query().await;
    let user = site.sign_up("first@example.org").await;
    let pants = site.product("pants").await;
    let order = site.order(&user, &pants).await;
    site.ordered_products(&user, &order.token).await;

    disk.fill();
    let mut made = 0;
    let stopped = loop {
        let status = site.status().await;
        if status["state"] == "stopped" {
            break status;
        }
        assert!(made < COMMANDS_MAX, "D's disk takes everything");
        for _ in 0..100 {
            site.product(&format!("{made} {}", "long ".repeat(40))).await;
            made += 1;
        }
    };
    let problem = &stopped["stopped"];
    assert_eq!(problem["type"], "/problems/store-fails", "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("read-model") && detail.contains("Check the disk's space"), "{detail}");
    let answer = site.client.get(&site.ordered_products_url(&user)).send().await.expect("D answers");
    if answer.status == 200 {
        assert_eq!(answer.body["products"][0]["title"], "pants", "{}", answer.body);
    } else {
        // sled has failed for good, and reads no more of what it does not have in memory.
        assert_eq!(answer.body["type"], "/problems/read-model-unreadable", "{}", answer.body);
    }

    disk.free();
    d_follows_again(&site).await;
    let trousers = site.product("trousers").await;
    let order = site.order(&user, &trousers).await;
    let answer = site.ordered_products(&user, &order.token).await;
    assert_eq!(answer.body["products"][1]["title"], "trousers", "{}", answer.body);
    let verified = site.projector(&["--verify"]).await.expect("no panic");
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
}

/// D has nothing to answer with while it opens its read model afresh, not even a status with a state.
async fn d_follows_again(site: &Site) {
    let deadline = Instant::now() + wait::DEADLINE;
    loop {
        let status = site.client.get(&format!("{}/status", site.urls.query)).send().await.unwrap();
        if status.body["state"] == "following" && status.body["lag_total"] == json!(0) {
            return;
        }
        assert!(Instant::now() < deadline, "D does not go on: {}", status.body);
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}
