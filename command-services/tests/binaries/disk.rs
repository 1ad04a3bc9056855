//! The disk takes no more writes, and then takes them again.
//!
//! A limit on the size of files stands for the full disk: it can be set for one process and lifted from outside.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::child::{Service, broker, request, users_on};
use crate::log::signed_up;

const KIB: u32 = 1024;
/// Files may grow to this: a few segments of the store.
const FILE_BYTES_MAX: u32 = 3 * KIB * KIB;
const DEADLINE: Duration = Duration::from_secs(60);

fn user(number: usize) -> Value {
    let email = format!("{number}@example.org");
    // Long fields fill the disk sooner.
    json!({"email": email, "name": "n".repeat(200), "address": "a".repeat(500)})
}

fn sign_up(address: &str, number: usize) -> (u16, Value) {
    let (status, body) = request(address, "POST", "/users", &user(number).to_string()).unwrap();
    (status, serde_json::from_str(&body).unwrap())
}

#[test]
fn a_full_disk_refuses_commands_until_there_is_space_and_loses_nothing() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let service = Service::start(limited(&users_on(&broker, &dir.path().join("data"))));
    let mut acknowledged = BTreeMap::new();
    let refused = (0..).find_map(|number| {
        assert!(number < 100_000, "the limit is not reached");
        let (status, body) = sign_up(&service.address, number);
        if status == 201 {
            acknowledged.insert(body["user_id"].as_str().unwrap().to_owned(), body);
            return None;
        }
        Some((status, body))
    });
    let (status, problem) = refused.unwrap();
    assert_eq!((status, problem["type"].as_str()), (503, Some("/problems/store-fails")), "{problem}");
    assert_eq!(request(&service.address, "GET", "/health/live", "").unwrap().0, 200);
    assert_eq!(request(&service.address, "GET", "/health/ready", "").unwrap().0, 503);
    let shown = request(&service.address, "GET", "/metrics", "").unwrap().1;
    let stands = |reason| shown.contains(&format!("daybook_not_ready{{reason=\"{reason}\"}} 1\n"));
    assert!(shown.contains("daybook_ready 0\n") && (stands("store-fails") || stands("no-room")), "{shown}");

    let unlimited = ["--pid", &service.pid(), "--fsize=unlimited"];
    assert!(Command::new("prlimit").args(unlimited).status().unwrap().success());
    let deadline = Instant::now() + DEADLINE;
    let mut number = 1_000_000;
    loop {
        number += 1;
        let (status, body) = sign_up(&service.address, number);
        if status == 201 {
            acknowledged.insert(body["user_id"].as_str().unwrap().to_owned(), body);
            break;
        }
        assert_eq!(status, 503, "{body}");
        assert!(Instant::now() < deadline, "the service does not recover: {body}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(request(&service.address, "GET", "/health/ready", "").unwrap().0, 200);
    assert!(request(&service.address, "GET", "/metrics", "").unwrap().1.contains("daybook_ready 1\n"));
    for (user_id, user) in &acknowledged {
        let (status, body) = request(&service.address, "GET", &format!("/users/{user_id}"), "").unwrap();
        assert_eq!((status, serde_json::from_str::<Value>(&body).unwrap()), (200, user.clone()));
    }
    let (status, said) = service.terminate();
    assert!(status.success(), "{said}");
    let in_log = signed_up(&broker.kafka(""));
    assert!(acknowledged.keys().all(|user_id| in_log.contains_key(user_id)));
}

/// A write that fails in the middle of what is on the disk already: nobody knows what became of it.
#[test]
fn a_journal_that_cannot_be_written_ends_the_process() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let command = users_on(&broker, &dir.path().join("data"));
    let service = Service::start(trapped(&command, "exec \"$@\""));
    let acknowledged: Vec<_> = (0..20)
        .map(|number| {
            let (status, body) = sign_up(&service.address, number);
            assert_eq!(status, 201, "{body}");
            body["user_id"].as_str().unwrap().to_owned()
        })
        .collect();
    let limited = ["--pid", &service.pid(), "--fsize=8192"];
    assert!(Command::new("prlimit").args(limited).status().unwrap().success());
    // It may be gone before it has answered.
    let answer = request(&service.address, "POST", "/users", &user(20).to_string());
    assert!(answer.is_none_or(|(status, _)| status == 503));
    let (status, said) = service.ended();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("the journal cannot be written"), "{said}");

    let service = Service::start(users_on(&broker, &dir.path().join("data")));
    for user_id in &acknowledged {
        assert_eq!(request(&service.address, "GET", &format!("/users/{user_id}"), "").unwrap().0, 200);
    }
    assert_eq!(sign_up(&service.address, 21).0, 201);
    let (status, said) = service.terminate();
    assert!(status.success(), "{said}");
    let in_log = signed_up(&broker.kafka(""));
    assert!(acknowledged.iter().all(|user_id| in_log.contains_key(user_id)));
}

/// The same command under a shell that limits the size of files.
fn limited(command: &Command) -> Command {
    trapped(command, &format!("ulimit -S -f {}; exec \"$@\"", FILE_BYTES_MAX / 512))
}

/// The same command under a shell, without the signal that would end a process which writes too much.
fn trapped(command: &Command, script: &str) -> Command {
    let script = format!("trap '' XFSZ; {script}");
    let mut limited = Command::new("sh");
    limited.args(["-c", &script, "sh"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited.stdin(std::process::Stdio::null());
    limited.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    limited
}
