//! `--recover` as a process: what it says about the old store, and SIGKILL while it is at work.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use daybook_kafka::embedded::EmbeddedBroker;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::child::{Service, broker, request, request_with, users_on};
use crate::command_line::ends;
use crate::log::signed_up;

const SENT: usize = 600;
const UNSENT: usize = 60;
const KILLS: u32 = 10;
/// Says in a directory that `--recover` has been carried out.
const NOTE: &str = "store.recovered";

/// The service, with a producer that waits for ever for more to send along.
fn without_kafka(broker: &EmbeddedBroker, data: &Path) -> Command {
    let mut command = users_on(broker, data);
    command.args(["--kafka", "linger.ms=900000", "--drain-timeout-ms", "0"]);
    command
}

fn recover(mut command: Command) -> Command {
    command.arg("--recover");
    command
}

/// Signs users up; their ids and addresses.
fn sign_up(service: &Service, label: &str, count: usize) -> BTreeMap<String, String> {
    let one = |number| {
        let email = format!("{label}-{number}@example.org");
        let body = json!({"email": email, "name": "Ada", "address": "1 Row"}).to_string();
        let (status, body) = request(&service.address, "POST", "/users", &body).unwrap();
        assert_eq!(status, 201, "{body}");
        let user: Value = serde_json::from_str(&body).unwrap();
        (user["user_id"].as_str().unwrap().to_owned(), email)
    };
    (0..count).map(one).collect()
}

/// A directory whose service was killed before Kafka had all of it, and everyone who signed up.
fn half_sent(broker: &EmbeddedBroker, data: &Path) -> BTreeMap<String, String> {
    let service = Service::start(users_on(broker, data));
    let mut users = sign_up(&service, "sent", SENT);
    assert!(service.terminate().0.success());
    let mut service = Service::start(without_kafka(broker, data));
    users.extend(sign_up(&service, "unsent", UNSENT));
    service.kill();
    assert_eq!(signed_up(&broker.kafka("")).len(), SENT);
    users
}

fn with_key(address: &str, body: &str) -> (u16, String) {
    request_with(address, "POST", "/users", "idempotency-key: once\r\n", body).unwrap()
}

fn assert_known(service: &Service, users: &BTreeMap<String, String>) {
    for (user_id, email) in users {
        let (status, body) = request(&service.address, "GET", &format!("/users/{user_id}"), "").unwrap();
        let user: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, user["email"].as_str()), (200, Some(&**email)), "{body}");
    }
    let taken = json!({"email": "unsent-0@example.org", "name": "Ada", "address": "1 Row"}).to_string();
    assert_eq!(request(&service.address, "POST", "/users", &taken).unwrap().0, 409);
}

#[test]
fn unsent_events_are_taken_over_and_their_number_is_said() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let data = dir.path().join("data");
    let users = half_sent(&broker, &data);
    let service = Service::start(recover(users_on(&broker, &data)));
    assert_known(&service, &users);
    let (status, said) = service.terminate();
    assert!(status.success(), "{said}");
    assert!(said.contains("were taken over") && said.contains("from_position"), "{said}");
    assert!(said.contains(&format!("taken_over={UNSENT} not_taken_over=0")), "{said}");
    assert_eq!(signed_up(&broker.kafka("")), users);
}

#[test]
fn what_does_not_fit_behind_the_log_is_named() {
    let (broker, other, dir) = (broker(), broker(), TempDir::new().unwrap());
    let data = dir.path().join("data");
    let service = Service::start(users_on(&other, &dir.path().join("other")));
    let others = sign_up(&service, "others", UNSENT);
    assert!(service.terminate().0.success());
    half_sent(&broker, &data);
    let mut command = recover(users_on(&other, &data));
    command.arg("--take-over");
    let (status, said) = Service::start(command).terminate();
    assert!(status.success(), "{said}");
    let named = said.lines().find(|line| line.contains("do not fit behind the log")).unwrap();
    for part in ["ERROR", "users.events", "two stores wrote this partition", "store.old-000001"] {
        assert!(named.contains(part), "{part} in {named}");
    }
    assert!(said.contains("taken_over=0"), "{said}");
    assert_eq!(signed_up(&other.kafka("")), others);
}

#[test]
fn killed_at_random_moments_it_begins_anew_and_loses_nothing() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let data = dir.path().join("data");
    let users = half_sent(&broker, &data);
    let began = Instant::now();
    let mut service = Service::start(recover(without_kafka(&broker, &data)));
    let whole = began.elapsed();
    service.kill();
    for kill in 0..KILLS {
        let _ = std::fs::remove_file(data.join(NOTE));
        let mut command = recover(without_kafka(&broker, &data));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Not a wait for anything: any moment will do.
        std::thread::sleep(whole * kill / KILLS);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let _ = std::fs::remove_file(data.join(NOTE));
    let service = Service::start(recover(users_on(&broker, &data)));
    assert_known(&service, &users);
    let (status, said) = service.terminate();
    assert!(status.success(), "{said}");
    assert_eq!(signed_up(&broker.kafka("")), users);
}

#[test]
fn recover_left_in_the_command_line_rebuilds_once_and_forgets_no_key_after_that() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let data = dir.path().join("data");
    half_sent(&broker, &data);
    let body = json!({"email": "once@example.org", "name": "Ada", "address": "1 Row"}).to_string();
    let mut first = None;
    for start in 0..3 {
        let service = Service::start(recover(users_on(&broker, &data)));
        let answer = with_key(&service.address, &body);
        assert_eq!(answer.0, 201, "{answer:?}");
        assert_eq!(*first.get_or_insert(answer.clone()), answer, "start {start}");
        let (status, said) = service.terminate();
        assert!(status.success(), "{said}");
        assert_eq!(said.contains("--recover is left out"), start > 0, "{said}");
    }
    let old = || {
        std::fs::read_dir(&data)
            .unwrap()
            .filter(|entry| {
                let entry = entry.as_ref().unwrap();
                entry.file_name().to_string_lossy().starts_with("store.old-")
            })
            .count()
    };
    assert_eq!(old(), 1);
    let service = Service::start(users_on(&broker, &data));
    let shown = request(&service.address, "GET", "/metrics", "").unwrap().1;
    assert!(shown.contains("daybook_old_stores 1\n"), "{shown}");
    assert!(service.terminate().1.contains("old stores lie aside"));
    let mut command = users_on(&broker, &data);
    command.arg("--remove-old-stores");
    let (code, stdout, stderr) = ends(command);
    assert_eq!((code, old()), (0, 0), "{stderr}");
    assert!(stdout.contains("store.old-000001"), "{stdout}");
}
