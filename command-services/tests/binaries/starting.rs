//! A service answers that it lives while it starts, and ends when it is asked to.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::child::{Service, broker, request, users, users_on};

const ANSWERS: &str = "health is answered on ";
const DEADLINE: Duration = Duration::from_secs(60);

fn get(service: &Service, path: &str) -> (u16, String) {
    request(&service.address, "GET", path, "").unwrap()
}

#[test]
fn while_kafka_is_away_it_lives_and_is_not_ready_and_a_stop_ends_it_at_once() {
    let (nobody, dir) = (TcpListener::bind("127.0.0.1:0").unwrap(), TempDir::new().unwrap());
    let mut command = users();
    command.args(["--listen", "127.0.0.1:0", "--start-timeout-ms", "600000"]);
    command.args(["--brokers", &nobody.local_addr().unwrap().to_string()]);
    command.arg("--data-dir").arg(dir.path().join("data"));
    let service = Service::start_until(command, ANSWERS);
    let deadline = Instant::now() + DEADLINE;
    loop {
        let (status, said) = get(&service, "/health/ready");
        assert_eq!(status, 503);
        if said.contains("waiting for a Kafka broker") {
            break;
        }
        assert!(Instant::now() < deadline, "{said}");
    }
    assert_eq!(get(&service, "/health/live").0, 200);
    let (status, said) = request(&service.address, "POST", "/users", "{}").unwrap();
    assert!(status == 503 && said.contains("the service is starting"), "{said}");
    let (status, said) = service.terminate();
    assert!(status.success(), "{said}");
}

#[test]
fn a_journal_is_printed_beside_its_service() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let data = dir.path().join("data");
    let service = Service::start(users_on(&broker, &data));
    let user = json!({"email": "ada@example.org", "name": "Ada", "address": "1 Row"}).to_string();
    assert_eq!(request(&service.address, "POST", "/users", &user).unwrap().0, 201);
    let before = fs::read_dir(data.join("store/journal")).unwrap().count();
    let mut print = users();
    print.arg("--journal").arg("--data-dir").arg(&data);
    let printed = print.output().unwrap();
    let text = String::from_utf8(printed.stdout).unwrap();
    assert!(printed.status.success() && printed.stderr.is_empty(), "{text}");
    assert!(text.contains("topic users.events, 3 partitions") && text.contains("next position 1"), "{text}");
    assert_eq!(fs::read_dir(data.join("store/journal")).unwrap().count(), before);
    assert!(service.terminate().0.success());
    let mut nothing = users();
    nothing.arg("--journal").arg("--data-dir").arg(dir.path().join("nowhere"));
    let nothing = nothing.output().unwrap();
    let said = String::from_utf8(nothing.stderr).unwrap();
    assert!(nothing.status.code() == Some(1) && said.contains("there is no journal in"), "{said}");
}
