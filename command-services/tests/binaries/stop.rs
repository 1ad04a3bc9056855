//! SIGTERM: what is being worked on is answered, what is stored is handed over, and the process ends in order.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use daybook_kafka::{Outgoing, Writer, topics};
use schemas::users::TOPIC as USERS;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::child::{Service, broker, request, users_on};
use crate::log::signed_up;

const DEADLINE: Duration = Duration::from_secs(60);

fn sign_up(email: &str) -> String {
    json!({"email": email, "name": "Ada", "address": "1 Row"}).to_string()
}

fn user_id(answer: &str) -> String {
    let body: Value = serde_json::from_str(answer.split("\r\n\r\n").last().unwrap()).unwrap();
    body["user_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_command_at_work_is_answered_and_its_event_handed_over() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let service = Service::start(users_on(&broker, &dir.path().join("data")));
    let body = sign_up("ada@example.org");
    let mut client = TcpStream::connect(&service.address).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    let head = "POST /users HTTP/1.1\r\nhost: d\r\ncontent-type: application/json\r\nexpect: 100-continue";
    write!(client, "{head}\r\ncontent-length: {}\r\n\r\n", body.len()).unwrap();
    // Asked for its body, the command is at work.
    let mut asked = [0; 25];
    client.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");

    assert!(Command::new("kill").args(["-TERM", &service.pid()]).status().unwrap().success());
    let deadline = Instant::now() + DEADLINE;
    while TcpStream::connect(&service.address).is_ok() {
        assert!(Instant::now() < deadline, "it still takes connections");
        std::thread::sleep(Duration::from_millis(5));
    }
    client.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let (status, said) = service.ended();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(signed_up(&broker.kafka("")).contains_key(&user_id(&answer)));
}

#[test]
fn with_kafka_away_the_outbox_is_kept_past_the_drain_timeout_and_sent_at_the_next_start() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let mut away = users_on(&broker, &dir.path().join("data"));
    // The producer waits for more to send along, far longer than the drain.
    away.args(["--kafka", "linger.ms=900000", "--drain-timeout-ms", "100"]);
    let service = Service::start(away);
    let (status, answer) = request(&service.address, "POST", "/users", &sign_up("ada@example.org")).unwrap();
    assert_eq!(status, 201, "{answer}");
    let (status, said) = service.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("stopped before Kafka had all events; they are sent at the next start"), "{said}");
    assert!(signed_up(&broker.kafka("")).is_empty());

    let service = Service::start(users_on(&broker, &dir.path().join("data")));
    let (status, said) = service.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(signed_up(&broker.kafka("")).contains_key(&user_id(&answer)));
}

/// What another store writes as the users' service, at a position that does not come next.
fn others_event(partition: i32) -> String {
    let id = "018f3a1e-7c3b-7f00-8000-000000000001";
    let event = serde_json::json!({
        "specversion": "1.0", "writerepoch": 1, "id": id, "source": format!("/users/{partition}"),
        "type": "shop.user.deleted.v1", "subject": id, "time": "2026-01-01T00:00:00Z",
        "sequence": format!("{:020}", 5), "aggregateversion": 1, "correlationid": id, "causationid": id,
        "data": {"user_id": id},
    });
    event.to_string()
}

/// The next start will be refused.
#[test]
fn where_what_is_unsent_does_not_fit_behind_the_log_no_start_is_promised_to_send_it() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let mut command = users_on(&broker, &dir.path().join("data"));
    command.args(["--kafka", "linger.ms=900000", "--drain-timeout-ms", "100"]);
    let service = Service::start(command);
    let (status, answer) = request(&service.address, "POST", "/users", &sign_up("ada@example.org")).unwrap();
    assert_eq!(status, 201, "{answer}");
    let writer = Writer::open(&broker.kafka(""), |delivery| assert!(delivery.result.is_ok())).unwrap();
    let partitions = topics::partition_count(&broker.kafka(""), USERS).unwrap().unwrap();
    for partition in 0..partitions {
        let value = others_event(partition);
        let value = value.as_bytes();
        let record = Outgoing { topic: USERS, partition, key: b"k", value, headers: &[], tag: 0 };
        writer.send(record).unwrap();
    }
    writer.flush(DEADLINE).unwrap();
    let deadline = Instant::now() + DEADLINE;
    loop {
        let (status, said) = request(&service.address, "GET", "/health/ready", "").unwrap();
        if status == 503 && said.contains("does not continue the log") {
            break;
        }
        assert!(Instant::now() < deadline, "{said}");
    }
    let (status, refused) = request(&service.address, "POST", "/users", &sign_up("bob@example.org")).unwrap();
    assert_eq!(status, 503, "{refused}");
    let (status, said) = service.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    let last = said.lines().find(|line| line.contains("stopped before Kafka had all events")).unwrap();
    assert!(last.contains("does not continue the log") && !last.contains("at the next start"), "{last}");
}

/// Nothing is unsent, so there is nothing that Kafka is waited for.
#[test]
fn with_kafka_away_and_nothing_unsent_a_stop_waits_for_nothing() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let mut command = users_on(&broker, &dir.path().join("data"));
    command.args(["--drain-timeout-ms", "600000"]);
    let service = Service::start(command);
    let (status, answer) = request(&service.address, "POST", "/users", &sign_up("ada@example.org")).unwrap();
    assert_eq!(status, 201, "{answer}");
    let deadline = Instant::now() + DEADLINE;
    let wait_for = |words: &str| loop {
        let (status, said) = request(&service.address, "GET", "/health/ready", "").unwrap();
        if status == 200 && said.contains(words) {
            break;
        }
        assert!(Instant::now() < deadline, "{said}");
    };
    wait_for("\"unsent_events\":0");
    drop(broker);
    wait_for("no Kafka broker answers");
    let (status, said) = service.terminate();
    assert!(status.success(), "{said}");
}
