//! What an upgrade tells whoever reads the log of the process.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use daybook_kafka::embedded::EmbeddedBroker;
use daybook_kafka::{Outgoing, Writer};
use serde_json::Value;
use tempfile::TempDir;

use crate::child::{Service, broker, users_on};

/// A directory of `users` from before unique keys had a form, and the log beside it.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/users-fd1c4c2");

fn read(name: &str) -> Value {
    serde_json::from_slice(&fs::read(Path::new(FIXTURE).join(name)).unwrap()).unwrap()
}

fn broker_before() -> EmbeddedBroker {
    let broker = broker();
    let writer = Writer::open(&broker.kafka(""), |delivery| assert!(delivery.result.is_ok())).unwrap();
    for (partition, records) in (0..).zip(read("log.json").as_array().unwrap()) {
        for record in records.as_array().unwrap() {
            let (topic, value) = ("users.events", record["value"].as_str().unwrap().as_bytes());
            writer.send(Outgoing { topic, partition, key: b"k", value, headers: &[], tag: 0 }).unwrap();
        }
    }
    writer.flush(Duration::from_secs(30)).unwrap();
    broker
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() { copy_dir(&from, &to) } else { fs::copy(from, to).map(|_| ()).unwrap() }
    }
}

/// Ids of the users who were there, by their addresses as they typed them.
fn ids() -> BTreeMap<String, String> {
    let states = read("states.json").as_object().unwrap().clone();
    let there = states.into_iter().filter(|(_, state)| state["status"] == 200);
    let email = |state: &Value| -> String {
        let details: Value = serde_json::from_str(state["body"].as_str().unwrap()).unwrap();
        details["email"].as_str().unwrap().to_owned()
    };
    there.map(|(id, state)| (email(&state), id)).collect()
}

#[test]
fn users_who_have_one_address_by_todays_form_are_named_once() {
    let (broker, dir) = (broker_before(), TempDir::new().unwrap());
    let data = dir.path().join("data");
    copy_dir(&Path::new(FIXTURE).join("data"), &data);
    let (status, said) = Service::start(users_on(&broker, &data)).terminate();
    assert!(status.success(), "{said}");
    let named: Vec<_> = said.lines().filter(|line| line.contains("have one unique key")).collect();
    let ids = ids();
    for twins in [
        &["\u{e9}@x.org", "e\u{301}@x.org"][..],
        &["\u{39f}\u{3a3}@x.org", "\u{3bf}\u{3c3}@x.org"],
        &["zw@x.org", "zw\u{200b}@x.org", "\u{ff5a}w@x.org"],
        &["info@xn--bcher-kva.example", "info@B\u{dc}CHER.example"],
    ] {
        for twin in &twins[1..] {
            let (keeps, also) = (format!("keeps={}", ids[twins[0]]), format!("also={}", ids[*twin]));
            assert!(
                named.iter().any(|line| line.contains(&keeps) && line.contains(&also)),
                "{twin} in {said}"
            );
        }
    }
    assert!(named.len() == 5 && said.contains("twins=5"), "{said}");
    assert!(!said.contains("@x.org"), "an address is nobody's business: {said}");
    let (status, said) = Service::start(users_on(&broker, &data)).terminate();
    assert!(status.success() && !said.contains("unique key"), "{said}");
}
